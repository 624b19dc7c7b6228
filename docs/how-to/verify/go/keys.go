package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"
)

const (
	coolDown = 30 * time.Second // between two fetches for unknown kids
	retry    = 5 * time.Second  // after a fetch that failed
	staleFor = time.Hour        // beyond max-age, while the key set can't be fetched
)

var (
	errKeysUnavailable = errors.New("the key set can't be fetched")
	maxAge             = regexp.MustCompile(`max-age=(\d{1,4})\b`)
)

// A key verifies with one algorithm only.
type key struct {
	algorithm string
	public    crypto.PublicKey
}

// keySet holds the issuer's keys, by their kid.
type keySet struct {
	url                            string
	client                         *http.Client
	mutex                          sync.Mutex
	keys                           map[string]key
	staleAt, unusableAt, nextFetch time.Time
}

func newKeySet(url string) *keySet {
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &keySet{url: url, client: &http.Client{Timeout: 5 * time.Second, CheckRedirect: noRedirect}}
}

// find returns the key, which has no algorithm if the kid is unknown.
func (set *keySet) find(kid string) (key, error) {
	set.mutex.Lock()
	defer set.mutex.Unlock()
	now := time.Now()
	_, known := set.keys[kid]
	if (!known || !now.Before(set.staleAt)) && !now.Before(set.nextFetch) {
		set.fetch(now)
	}
	if !now.Before(set.unusableAt) {
		return key{}, errKeysUnavailable
	}
	return set.keys[kid], nil
}

func (set *keySet) fetch(now time.Time) {
	set.nextFetch = now.Add(retry)
	response, err := set.client.Get(set.url)
	if err != nil {
		return
	}
	defer response.Body.Close()
	var document struct{ Keys []jwk }
	body := io.LimitReader(response.Body, 1<<20)
	if response.StatusCode != http.StatusOK || json.NewDecoder(body).Decode(&document) != nil {
		return
	}
	keys := map[string]key{}
	for _, each := range document.Keys {
		if public := each.publicKey(); public != nil && each.Kid != "" {
			keys[each.Kid] = key{each.Alg, public}
		}
	}
	if len(keys) == 0 {
		return
	}
	age := 300
	if found := maxAge.FindStringSubmatch(response.Header.Get("Cache-Control")); found != nil {
		age, _ = strconv.Atoi(found[1])
	}
	set.keys, set.staleAt = keys, now.Add(time.Duration(age)*time.Second)
	set.unusableAt, set.nextFetch = set.staleAt.Add(staleFor), now.Add(coolDown)
}

// jwk is a public key of the set (RFC 7517).
type jwk struct{ Kid, Alg, Crv, X, Y, N, E string }

// publicKey returns nil for a key that isn't of one of the four algorithms.
func (given jwk) publicKey() crypto.PublicKey {
	switch given.Alg {
	case "ES256":
		public := &ecdsa.PublicKey{Curve: elliptic.P256(), X: number(given.X), Y: number(given.Y)}
		if given.Crv == "P-256" && public.Curve.IsOnCurve(public.X, public.Y) {
			return public
		}
	case "EdDSA":
		if x := decode(given.X); given.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize {
			return ed25519.PublicKey(x)
		}
	case "PS256", "RS256":
		modulus, exponent := number(given.N), number(given.E)
		if modulus.BitLen() >= 2048 && exponent.BitLen() <= 31 {
			return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}
		}
	}
	return nil
}

func decode(text string) []byte {
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return decoded
}

func number(text string) *big.Int {
	return new(big.Int).SetBytes(decode(text))
}
