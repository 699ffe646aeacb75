//! Knative vocabulary: API objects with defaults and validation, names, headers, annotations.
