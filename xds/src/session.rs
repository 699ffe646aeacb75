//! One xDS session as a pure state machine: responses and verdicts in, requests out.
