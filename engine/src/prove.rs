//! The laws and the conformance suite.
