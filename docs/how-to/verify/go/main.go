// A service that accepts access tokens of jwt_auth, verified with golang-jwt.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

var (
	issuer, audience = os.Getenv("ISSUER"), os.Getenv("AUDIENCE")
	keys             = newKeySet(os.Getenv("JWKS_URL"))
	parser           = jwt.NewParser(jwt.WithValidMethods([]string{"ES256", "EdDSA", "PS256", "RS256"}))
	errInvalid       = errors.New("this is not an access token")
)

type claims struct {
	jwt.RegisteredClaims
	SessionID string   `json:"sid"`
	TokenUse  string   `json:"token_use"`
	Roles     []string `json:"roles"`
}

// verify returns the claims. It returns errKeysUnavailable if no key set can be had.
func verify(token string) (*claims, error) {
	if len(token) > 8192 {
		return nil, errInvalid
	}
	var unavailable error
	found := &claims{}
	_, err := parser.ParseWithClaims(token, found, func(parsed *jwt.Token) (interface{}, error) {
		public, err := findKey(parsed)
		if errors.Is(err, errKeysUnavailable) {
			unavailable = err
		}
		return public, err
	})
	if unavailable != nil {
		return nil, unavailable
	}
	if err != nil {
		return nil, err
	}
	return found, check(found)
}

func findKey(token *jwt.Token) (interface{}, error) {
	kid, _ := token.Header["kid"].(string)
	// The library ignores `crit`, whose extensions a recipient must understand (RFC 7515 §4.1.11).
	if _, critical := token.Header["crit"]; critical || token.Header["typ"] != "at+jwt" || kid == "" {
		return nil, errInvalid
	}
	found, err := keys.find(kid)
	if err != nil {
		return nil, err
	}
	if found.algorithm != token.Method.Alg() {
		return nil, errInvalid
	}
	return found.public, nil
}

// check refuses claims that are missing: the library checks the times only where it finds them.
func check(found *claims) error {
	isForUs := false
	for _, each := range found.Audience {
		isForUs = isForUs || each == audience
	}
	isComplete := found.ExpiresAt != nil && found.NotBefore != nil && found.IssuedAt != nil &&
		found.Subject != "" && found.ID != "" && found.SessionID != ""
	if !isComplete || !isForUs || found.Issuer != issuer || found.TokenUse != "access" ||
		found.IssuedAt.After(time.Now()) {
		return errInvalid
	}
	return nil
}

// authenticated hands over only requests with a good token.
func authenticated(next func(http.ResponseWriter, *claims)) http.HandlerFunc {
	return func(writer http.ResponseWriter, request *http.Request) {
		given := request.Header.Values("Authorization")
		if len(given) != 1 || len(given[0]) < 7 || !strings.EqualFold(given[0][:7], "Bearer ") {
			writer.Header().Set("WWW-Authenticate", "Bearer")
			writer.WriteHeader(http.StatusUnauthorized)
			return
		}
		found, err := verify(given[0][7:])
		switch {
		case errors.Is(err, errKeysUnavailable):
			writer.Header().Set("Retry-After", "5")
			writer.WriteHeader(http.StatusServiceUnavailable)
		case err != nil:
			writer.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			writer.WriteHeader(http.StatusUnauthorized)
		default:
			next(writer, found)
		}
	}
}

func hello(writer http.ResponseWriter, caller *claims) {
	writer.Header().Set("Content-Type", "application/json")
	json.NewEncoder(writer).Encode(map[string]interface{}{"user": caller.Subject, "roles": caller.Roles})
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, authenticated(hello)))
}
