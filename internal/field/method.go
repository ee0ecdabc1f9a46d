package field

// overrides are the headers by which frameworks let a POST be another method.
var overrides = [...]string{"x-http-method-override", "x-http-method", "x-method-override"}

// OverridesMethod tells whether name is that of a header by which frameworks let a POST be another method. It takes all
// spellings that Fold makes one of.
func OverridesMethod(name string) bool {
	if len(name) < len("X-Http-Method") || name[0] != 'X' && name[0] != 'x' {
		return false
	}
	for _, want := range overrides {
		if len(name) == len(want) && alike(name, want) {
			return true
		}
	}
	return false
}

func alike(name, want string) bool {
	for i := range len(want) {
		if FoldByte(name[i]) != want[i] {
			return false
		}
	}
	return true
}

// IsInUpperCase tells whether value is want, once its ASCII letters are in upper case, as frameworks compare a method.
func IsInUpperCase(value, want string) bool {
	if len(value) != len(want) {
		return false
	}
	for i := range len(value) {
		c := value[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}
