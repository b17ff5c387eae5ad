-- Whether a project's own credentials may be used for what is imported into it.

-- member_at is created_at where it was set by a member of the project. A program that does
-- not know of it leaves what was there when it sets the import anew, and another created_at.
ALTER TABLE imports ADD COLUMN member_at BIGINT;
