package popauth

import "context"

// remote returns the keys of a Verifier if they are fetched; nil if not, or if somebody else sees to that.
func (v *jwtVerifier) remote() *RemoteKeys {
	if v == nil {
		return nil
	}
	keys, _ := v.keys.(*RemoteKeys)
	if !keys.made() {
		return nil
	}
	return keys
}

// Ready tells whether there are keys, and begins to fetch them if not; see RemoteKeys.Ready.
func (v *jwtVerifier) Ready() bool {
	keys := v.remote()
	return keys == nil || keys.Ready()
}

// Load waits until there are keys, no longer than ctx.
func (v *jwtVerifier) Load(ctx context.Context) error {
	keys := v.remote()
	if keys == nil {
		return nil
	}
	if err := keys.remote.Load(ctx); err != nil {
		return &Error{Reason: ErrUnavailable, Err: err}
	}
	return nil
}

// Size is about what the Verifier needs beside the tokens that it remembers, in bytes.
func (v *jwtVerifier) Size() int64 {
	if v == nil {
		return 0
	}
	return v.headers.Size() + v.remote().Size()
}

// Watch has changed called whenever Size may be another because of the keys. It may ask for Size alone. Who is compared with
// ==, and has one func at a time, also where several Verifiers share the keys.
func (v *jwtVerifier) Watch(who any, changed func()) {
	if keys := v.remote(); keys != nil {
		keys.remote.Watch(who, changed)
	}
}

// Unwatch ends that.
func (v *jwtVerifier) Unwatch(who any) {
	if keys := v.remote(); keys != nil {
		keys.remote.Unwatch(who)
	}
}
