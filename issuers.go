package popauth

// issuing is a Verifier that knows whose tokens it accepts.
type issuing interface{ issuers() []string }
