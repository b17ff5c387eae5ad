package upstream

import "strings"

const (
	maxChallengeBytes = 16 << 10
	maxChallenges     = 16
	maxParameters     = 32
)

// challenge is one challenge of a WWW-Authenticate header (RFC 9110, §11.6.1).
type challenge struct {
	scheme     string            // lower case
	parameters map[string]string // names in lower case
}

// parseChallenges reads all challenges of all WWW-Authenticate lines. What follows a
// mistake in a line is left out: half a challenge is no challenge.
func parseChallenges(lines []string) []challenge {
	var found []challenge
	for _, line := range lines {
		if len(line) > maxChallengeBytes {
			continue
		}
		p := challengeParser{rest: line}
		for len(found) < maxChallenges {
			c, ok := p.challenge()
			if !ok {
				break
			}
			found = append(found, c)
		}
	}
	return found
}

// challengeParser consumes a header line from the left.
type challengeParser struct{ rest string }

func (p *challengeParser) challenge() (challenge, bool) {
	p.skip(" \t,")
	scheme := p.take(isTokenChar)
	if scheme == "" {
		return challenge{}, false
	}
	c := challenge{scheme: strings.ToLower(scheme), parameters: map[string]string{}}
	if p.token68() {
		return c, true
	}
	if p.rest != "" && !strings.ContainsRune(" \t,", rune(p.rest[0])) {
		return challenge{}, false
	}
	p.skip(" \t")
	for range maxParameters {
		if !p.startsParameter() {
			break
		}
		name, value, ok := p.parameter()
		if !ok {
			return challenge{}, false
		}
		if _, twice := c.parameters[name]; !twice {
			c.parameters[name] = value
		}
		p.skip(" \t")
		if p.rest != "" && p.rest[0] != ',' {
			return challenge{}, false
		}
		p.skip(" \t,")
	}
	return c, true
}

// token68 skips the one unnamed value that some schemes carry, such as Negotiate's.
func (p *challengeParser) token68() bool {
	ahead := challengeParser{rest: p.rest}
	ahead.skip(" \t")
	if ahead.rest == p.rest || ahead.take(isToken68Char) == "" {
		return false
	}
	ahead.skip("=")
	ahead.skip(" \t")
	if ahead.rest != "" && ahead.rest[0] != ',' {
		return false
	}
	p.rest = ahead.rest
	return true
}

// startsParameter tells name=value from the scheme of the next challenge.
func (p *challengeParser) startsParameter() bool {
	ahead := challengeParser{rest: p.rest}
	if ahead.take(isTokenChar) == "" {
		return false
	}
	ahead.skip(" \t")
	return strings.HasPrefix(ahead.rest, "=")
}

func (p *challengeParser) parameter() (name, value string, ok bool) {
	name = strings.ToLower(p.take(isTokenChar))
	p.skip(" \t")
	p.rest = strings.TrimPrefix(p.rest, "=")
	p.skip(" \t")
	if strings.HasPrefix(p.rest, `"`) {
		value, ok = p.quoted()
		return name, value, ok
	}
	value = p.take(isTokenChar)
	return name, value, value != ""
}

// quoted reads a quoted-string (RFC 9110, §5.6.4).
func (p *challengeParser) quoted() (string, bool) {
	var value strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case '"':
			p.rest = p.rest[i+1:]
			return value.String(), true
		case '\\':
			i++
			if i == len(p.rest) {
				return "", false
			}
			value.WriteByte(p.rest[i])
		default:
			value.WriteByte(c)
		}
	}
	return "", false
}

func (p *challengeParser) skip(chars string) { p.rest = strings.TrimLeft(p.rest, chars) }

func (p *challengeParser) take(allowed func(byte) bool) string {
	end := 0
	for end < len(p.rest) && allowed(p.rest[end]) {
		end++
	}
	taken := p.rest[:end]
	p.rest = p.rest[end:]
	return taken
}

func isTokenChar(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isToken68Char(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("-._~+/", c) >= 0 }

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
