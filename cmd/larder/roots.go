package main

// In an image that holds nothing but the program there are no certificate authorities. These
// are used where the system has none.
import _ "golang.org/x/crypto/x509roots/fallback"
