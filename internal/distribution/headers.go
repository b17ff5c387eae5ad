package distribution

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/oci"
)

// maxWarning bounds the Warning header (OCI Distribution 1.1, §Warnings), in bytes.
const maxWarning = 4096

// tell says how the answer was come by, also when it is an error.
func (x *exchange) tell(served oci.Served) {
	header := x.w.Header()
	if served.Cache != nil {
		header.Set("Cache-Status", served.Cache.String())
	}
	if served.Warning != "" {
		header.Set("Warning", warning(served.Warning))
	}
	if served.Age > 0 {
		header.Set("Age", strconv.FormatInt(int64(served.Age/time.Second), 10))
	}
	if x.target.Namespace != "" { // OCI Distribution main branch, §Registry Proxying
		header.Set("OCI-Namespace", x.target.Namespace)
	}
}

// warning writes a warn-code 299 without agent and date (RFC 7234, §5.5). Its text is
// cut rather than sent too long, and holds nothing that a header cannot.
func warning(text string) string {
	var b strings.Builder
	b.WriteString(`299 - "`)
	for _, c := range []byte(text) {
		if b.Len() > maxWarning-3 {
			break
		}
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteByte(' ')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// link points to the next page of a list (RFC 8288).
func link(header http.Header, path, query string) {
	header.Set("Link", "<"+path+"?"+query+`>; rel="next"`)
}
