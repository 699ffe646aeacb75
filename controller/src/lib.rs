//! Turns Knative objects into a plan of revisions and a routing snapshot.
