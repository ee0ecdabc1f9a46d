package popauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/seed-171ab058/popauth"
)

// A path that a proxy and a router may read differently is refused, in front of whatever decides by paths.
func ExampleRequestLine() {
	h := popauth.RequestLine{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	for _, path := range []string{"/orders/7", "/public/..%2forders/7"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(w.Code)
	}
	// Output:
	// 204
	// 400
}

// A Verifier of yours that asks a server about tokens makes a Token of the answer.
func ExampleNewTokenFromAnswer() {
	answer := `{"active":true,"iss":"https://id.example.com","aud":"https://api.example.com","client_id":"orders-batch",
		"exp":4102444800,"cnf":{"x5t#S256":"9g9RZ_yaw4iaucYfIo553L9BnnZheESjcQEPAZiONz8"}}`
	token, err := popauth.NewTokenFromAnswer([]byte(answer), popauth.AnswerRules{Issuer: "https://id.example.com"})
	if err != nil {
		panic(err)
	}
	fmt.Println(token.ClientID())
	// Output: orders-batch
}
