package server

// lookupSet treats an empty variable as one that is not set, as compose files and
// unit files often leave it.
func lookupSet(lookupEnv func(string) (string, bool), name string) (string, bool) {
	text, _ := lookupEnv(name)
	return text, text != ""
}

func (l *loader) fromEnvironment(lookupEnv func(string) (string, bool)) {
	for _, s := range settings() {
		if text, set := lookupSet(lookupEnv, s.env); set {
			l.apply(s, given{text: text, from: "environment variable " + s.env})
		}
	}
}
