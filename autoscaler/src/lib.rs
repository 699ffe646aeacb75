//! The Knative pod autoscaler (KPA): pure windows and decisions.
