"""What the issuer's and recipients' admins do: actions, enrolment, the token endpoint."""
