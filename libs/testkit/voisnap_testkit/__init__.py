"""What tests are built from: real servers, a database a test, virtual time, fakes that obey the same contracts as the real thing."""
