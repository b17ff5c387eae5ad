package upstream

// IsPublic is for the table of addresses.
var IsPublic = isPublic
