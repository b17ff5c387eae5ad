package oci

// Rule is what decided that a cache refuses something, or serves a stale copy of it.
type Rule string

// The rules, in the words of the API.
const (
	RuleLists      Rule = "allow-deny" // the operator's lists of what may be fetched
	RuleVisibility Rule = "visibility" // the upstream does not show it to strangers
	RulePullLimit  Rule = "pull-limit" // the registry's own, of its users
	RuleReserve    Rule = "reserve"    // what the upstream would give is set aside for others
	RuleBudget     Rule = "budget"     // the project has spent what it may of an upstream's pulls
	RuleRemembered Rule = "remembered" // the upstream said so a moment ago
	RulePatience   Rule = "patience"   // the upstream had not answered when its askers lost patience
	RuleUpstream   Rule = "upstream"   // the upstream's answer, or the lack of one
	RuleRegistry   Rule = "registry"   // the registry itself could not
)
