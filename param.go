package popauth

// Param is one parameter of a challenge, such as algs of DPoP.
type Param struct{ Name, Value string }
