-- The groups that an issuer told of somebody hold as long as the login at which it told
-- them. NULL, as an older larder leaves it, is the past.

ALTER TABLE users ADD COLUMN claimed_until INTEGER;
