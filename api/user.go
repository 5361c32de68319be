package api

// A User is an account: of a person, or of a service, which has tokens only.
type User struct {
	ID          string            `json:"id" doc:"stays the same, and stands in the audit log"`
	Name        string            `json:"name" doc:"to sign in with"`
	Kind        string            `json:"kind" enum:"person,service"`
	FullName    string            `json:"fullName,omitempty" doc:"for people"`
	Email       string            `json:"email,omitempty"`
	Admin       bool              `json:"admin" doc:"of the whole system"`
	Disabled    bool              `json:"disabled" doc:"cannot sign in, and has neither tokens nor sessions"`
	HasPassword bool              `json:"hasPassword" doc:"can sign in with a password of this server"`
	Home        string            `json:"home" doc:"the project of its requests that name none"`
	CreatedAt   Time              `json:"createdAt"`
	SignedInAt  *Time             `json:"signedInAt,omitempty" doc:"last; absent: never"`
	Identities  []Identity        `json:"identities,omitempty" doc:"by which it signs in from outside"`
	Roles       map[string]string `json:"roles,omitempty" doc:"by project; told of one user only"`
}

// An Identity is how another system calls somebody.
type Identity struct {
	Issuer  string `json:"issuer" doc:"of OpenID, or the directory"`
	Subject string `json:"subject"`
}

// A NewUser says what account to make.
type NewUser struct {
	Name     string `json:"name" doc:"up to 64 lower-case letters, digits and . _ @ + -"`
	Kind     string `json:"kind,omitempty" doc:"person, the default, or service"`
	FullName string `json:"fullName,omitempty"`
	Email    string `json:"email,omitempty"`
	Admin    bool   `json:"admin,omitempty" doc:"of the whole system"`
	Password string `json:"password,omitempty" doc:"absent: it signs in from outside, or has tokens only"`
	Project  string `json:"project,omitempty" doc:"its home; absent: the one that the request is about"`
	Role     string `json:"role,omitempty" doc:"in its home: viewer, member or manager; absent: none"`
}

// A UserChange says what becomes of an account; what is absent stays as it is.
type UserChange struct {
	FullName *string `json:"fullName,omitempty"`
	Email    *string `json:"email,omitempty"`
	Admin    *bool   `json:"admin,omitempty"`
	Disabled *bool   `json:"disabled,omitempty" doc:"true ends its tokens and sessions for good"`
	Home     *string `json:"home,omitempty" doc:"name of a project that it is a member of"`
	Unlock   bool    `json:"unlock,omitempty" doc:"forget sign-ins that failed"`
}

// A Password is the next one of an account.
type Password struct {
	Password string `json:"password" doc:"empty takes it away, which only an administrator can"`
	Current  string `json:"current,omitempty" doc:"the present one, without which only an administrator can set another"`
}

// A Project holds what belongs together.
type Project struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role,omitempty" doc:"of whoever asks: viewer, member or manager"`
	Home bool   `json:"home,omitempty" doc:"this request was about it"`
}

// A ProjectName is that of a project to make, or its next one.
type ProjectName struct {
	Name string `json:"name" doc:"up to 63 lower-case letters, digits and -"`
}

// A Membership is somebody's role in a project.
type Membership struct {
	Project string `json:"project"`
	User    string `json:"user"`
	Kind    string `json:"kind" enum:"person,service"`
	Role    string `json:"role" enum:"viewer,member,manager"`
}

// A Role is what a member is to be in a project.
type Role struct {
	Role string `json:"role" doc:"viewer, member or manager"`
}

// A Token lets its bearer act as its owner, as far as its scope goes.
type Token struct {
	ID        string `json:"id" doc:"to revoke it by; no secret"`
	Name      string `json:"name" doc:"what uses it"`
	User      string `json:"user" doc:"its owner"`
	Scope     string `json:"scope" enum:"all,write,read,import"`
	Project   string `json:"project,omitempty" doc:"the only one that it is good for; absent: every one of its owner's"`
	System    bool   `json:"system,omitempty" doc:"the file admin.token of a state directory"`
	CreatedAt Time   `json:"createdAt"`
	ExpiresAt *Time  `json:"expiresAt,omitempty" doc:"absent: never"`
	UsedAt    *Time  `json:"usedAt,omitempty" doc:"last, to the minute; absent: never"`
	UsedFrom  string `json:"usedFrom,omitempty" doc:"the address of that"`
	Token     string `json:"token,omitempty" doc:"the token itself; only in the answer that made it"`
}

// A NewToken says what token to make.
type NewToken struct {
	Name      string `json:"name" doc:"what will use it"`
	User      string `json:"user,omitempty" doc:"its owner; absent: whoever asks"`
	Scope     string `json:"scope,omitempty" doc:"all, the default, write, read or import"`
	Project   string `json:"project,omitempty" doc:"the only one that it will be good for"`
	ExpiresAt *Time  `json:"expiresAt,omitempty" doc:"absent: never"`
}

// Me tells who asks, and how.
type Me struct {
	User      string            `json:"user"`
	ID        string            `json:"id"`
	Kind      string            `json:"kind" enum:"person,service"`
	Admin     bool              `json:"admin" doc:"of the whole system, as far as the credential goes"`
	Project   string            `json:"project" doc:"that requests are about which name none"`
	Roles     map[string]string `json:"roles" doc:"by project, as far as the credential goes"`
	Scope     string            `json:"scope" doc:"of the token; all for a session"`
	Token     string            `json:"token,omitempty" doc:"its name; absent for a session"`
	ExpiresAt *Time             `json:"expiresAt,omitempty" doc:"when the credential ends; absent: never"`
}

// An AuditEntry tells who did what.
type AuditEntry struct {
	Seq       int64  `json:"seq" doc:"its place in the log, ascending"`
	At        Time   `json:"at"`
	User      string `json:"user" doc:"the name of that time; empty when nobody was signed in"`
	UserID    string `json:"userId,omitempty"`
	TokenID   string `json:"tokenId,omitempty" doc:"of the token that was used"`
	From      string `json:"from" doc:"the address of the client"`
	Action    string `json:"action" doc:"the operationId, or sign-in and the like"`
	Kind      string `json:"kind,omitempty" doc:"of what it was about"`
	ProjectID string `json:"projectId,omitempty" doc:"of what it was about; absent: the system"`
	Project   string `json:"project,omitempty" doc:"its name, if it is still there"`
	Object    string `json:"object,omitempty" doc:"what it was about: an id or a name"`
	Result    string `json:"result" enum:"done,denied,failed"`
	Detail    string `json:"detail,omitempty"`
	RequestID string `json:"requestId,omitempty" doc:"as the server's log has it"`
}
