package api

import "strings"

// SharePermissions are what a repository is shared for, in Docker Hub's words.
func SharePermissions() []string { return []string{"read", "write", "admin"} }

// ShareRole is the role of a project that shares one of its repositories.
func ShareRole(repository, permission string) string {
	return "repo:" + strings.ReplaceAll(repository, "/", ":") + ":" + permission
}

// shareRoles are the roles of a project that share one of its repositories.
func shareRoles(repository string) (roles []string) {
	for _, permission := range SharePermissions() {
		roles = append(roles, ShareRole(repository, permission))
	}
	return roles
}
