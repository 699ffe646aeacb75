//! The watcher of one revision, told what Kubernetes and its pods say, step by step.

use super::*;

/// A revision's pods and service, as they would answer, and the watcher that asks them.
struct World {
    state: State,
    answers: Vec<(u16, Asked)>,
    service: Option<Asked>,
    asked: Vec<String>,
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

const SERVICE: u16 = 80;

impl World {
    fn new(rules: Rules) -> Self {
        Self {
            state: State::new(rules),
            answers: Vec::new(),
            service: None,
            asked: Vec::new(),
        }
    }

    fn answers(&mut self, answers: &[(u16, Asked)]) {
        self.answers = answers.to_vec();
    }

    fn endpoints(&mut self, ready: &[u16], not_ready: &[u16]) -> String {
        let set = |ports: &[u16]| ports.iter().copied().map(address).collect();
        let step = self.state.endpoints(Sets {
            ready: set(ready),
            not_ready: set(not_ready),
        });
        self.follow(step)
    }

    fn tick(&mut self) -> String {
        let step = self.state.tick();
        self.follow(step)
    }

    /// Answers what is asked until the check has ended; says how.
    fn follow(&mut self, mut step: Step) -> String {
        self.asked.clear();
        loop {
            step = match step {
                Step::Rest => return "rest".to_owned(),
                Step::Publish(Destinations::None) => return "none".to_owned(),
                Step::Publish(Destinations::Pods(pods)) => {
                    let ports: Vec<_> = pods.iter().map(SocketAddr::port).collect();
                    return format!("pods {ports:?}");
                }
                Step::Publish(Destinations::ClusterIp { ready, .. }) => return format!("service {ready}"),
                Step::AskPods(pods) => {
                    self.asked.extend(pods.iter().map(|pod| pod.port().to_string()));
                    let answers: Vec<_> = pods.iter().map(|pod| (*pod, self.answer(pod.port()))).collect();
                    self.state.pods_answered(&answers)
                }
                Step::FindService => self.state.service_found(self.service.map(|_| address(SERVICE))),
                Step::AskService(_) => {
                    self.asked.push("service".to_owned());
                    self.state.service_answered(self.service.unwrap_or(Asked::Failed))
                }
            };
        }
    }

    fn answer(&self, port: u16) -> Asked {
        let answer = self.answers.iter().find(|(of, _)| *of == port);
        answer.map_or(Asked::Failed, |(_, asked)| *asked)
    }
}

fn auto() -> World {
    World::new(Rules::default())
}

#[test]
fn ac_30_a_pod_that_answers_is_used_whether_kubernetes_knows_or_not() {
    let mut world = auto();
    world.answers(&[(1, Asked::Ready), (2, Asked::Ready)]);
    assert_eq!(world.endpoints(&[1], &[]), "pods [1]");
    assert_eq!(world.endpoints(&[1], &[2]), "pods [1, 2]");
    assert_eq!(
        world.asked,
        ["2"],
        "who is known to be healthy is not asked again"
    );
}

#[test]
fn ac_30_no_pods_are_published_only_after_some() {
    let mut world = auto();
    assert_eq!(world.endpoints(&[], &[]), "rest");
    world.answers(&[(1, Asked::Ready)]);
    assert_eq!(world.endpoints(&[1], &[]), "pods [1]");
    assert_eq!(world.endpoints(&[], &[]), "none");
    assert_eq!(world.endpoints(&[], &[]), "rest");
}

#[test]
fn ac_31_a_pod_that_fails_is_asked_at_each_tick_until_it_answers() {
    let mut world = auto();
    world.answers(&[(1, Asked::NotReady), (2, Asked::NotReady)]);
    assert_eq!(world.endpoints(&[1], &[2]), "rest");
    assert_eq!(world.tick(), "rest");
    assert_eq!(world.asked, ["1", "2"]);
    world.answers(&[(1, Asked::Ready), (2, Asked::NotReady)]);
    assert_eq!(world.tick(), "pods [1]");
    world.answers(&[(1, Asked::Ready), (2, Asked::Ready)]);
    assert_eq!(world.tick(), "pods [1, 2]");
    assert!(world.state.is_settled());
    assert_eq!(world.tick(), "rest");
    assert!(world.asked.is_empty());
}

#[test]
fn ac_32_where_a_mesh_answers_for_the_pods_the_service_stands_for_them() {
    for mesh_like in [Asked::PerhapsMesh, Asked::Failed] {
        let mut world = auto();
        world.service = Some(Asked::Ready);
        world.answers(&[(1, mesh_like)]);
        assert_eq!(world.endpoints(&[1], &[2]), "service 1");
        // For good: the pods are not asked again, only counted.
        assert_eq!(world.endpoints(&[1, 2], &[]), "service 2");
        assert!(world.asked.is_empty());
        assert_eq!(world.endpoints(&[], &[]), "none");
        assert_eq!(world.endpoints(&[1], &[]), "service 1");
        assert_eq!(world.asked, ["service"], "after nothing it must answer anew");
    }
}

#[test]
fn ac_32_a_pod_that_no_mesh_answers_for_is_waited_for() {
    let mut world = auto();
    world.service = Some(Asked::Ready);
    world.answers(&[(1, Asked::NotReady), (2, Asked::PerhapsMesh)]);
    assert_eq!(world.endpoints(&[1, 2], &[]), "rest");
    assert_eq!(world.asked, ["1", "2"]);
}

#[test]
fn ac_32_a_service_that_is_missing_or_does_not_answer_is_asked_again() {
    let mut world = auto();
    world.answers(&[(1, Asked::PerhapsMesh)]);
    assert_eq!(world.endpoints(&[1], &[]), "rest");
    world.service = Some(Asked::PerhapsMesh);
    assert_eq!(world.tick(), "rest");
    assert_eq!(world.asked, ["1", "service"]);
    world.service = Some(Asked::Ready);
    assert_eq!(world.tick(), "service 1");
    assert_eq!(world.tick(), "rest");
}

#[test]
fn ac_33_where_a_mesh_passes_to_single_pods_the_service_is_never_asked() {
    let mut world = World::new(Rules {
        passthrough: true,
        ..Rules::default()
    });
    world.service = Some(Asked::Ready);
    world.answers(&[(1, Asked::PerhapsMesh)]);
    assert_eq!(world.endpoints(&[1], &[]), "rest");
    assert_eq!(world.asked, ["1"]);
}

#[test]
fn ac_34_in_a_mesh_only_the_service_is_asked() {
    let mut world = World::new(Rules {
        mesh: Mesh::Enabled,
        ..Rules::default()
    });
    world.service = Some(Asked::Ready);
    world.answers(&[(1, Asked::Ready)]);
    assert_eq!(world.endpoints(&[1], &[]), "service 1");
    assert_eq!(world.asked, ["service"]);
}

#[test]
fn ac_34_without_a_mesh_kubernetes_is_believed_and_the_service_never_asked() {
    let mut world = World::new(Rules {
        mesh: Mesh::Disabled,
        ..Rules::default()
    });
    world.service = Some(Asked::Ready);
    assert_eq!(world.endpoints(&[1, 2], &[]), "pods [1, 2]");
    assert!(world.asked.is_empty());
    assert_eq!(world.endpoints(&[1, 2], &[3]), "rest");
    assert_eq!(world.asked, ["3"]);
    assert_eq!(world.endpoints(&[], &[3]), "pods []");
    assert_eq!(world.tick(), "rest");
}

#[test]
fn ac_35_a_pod_that_turns_unready_is_asked_anew() {
    for (answer, expected) in [(Asked::Ready, "pods [1, 2]"), (Asked::Failed, "pods [1]")] {
        let mut world = auto();
        world.answers(&[(1, Asked::Ready), (2, Asked::Ready)]);
        assert_eq!(world.endpoints(&[1, 2], &[]), "pods [1, 2]");
        world.answers(&[(2, answer)]);
        assert_eq!(world.endpoints(&[1], &[2]), expected);
        assert_eq!(world.asked, ["2"]);
    }
}

#[test]
fn ac_36_a_pod_that_may_not_be_believed_waits_for_kubernetes() {
    let mut world = World::new(Rules {
        believe_pods: false,
        ..Rules::default()
    });
    world.answers(&[(1, Asked::Ready)]);
    assert_eq!(world.endpoints(&[], &[1]), "rest");
    assert_eq!(world.tick(), "rest");
    assert_eq!(world.endpoints(&[1], &[]), "pods [1]");
}

#[test]
fn ac_37_what_changed_nothing_is_not_published() {
    let mut world = auto();
    world.answers(&[(1, Asked::Ready), (2, Asked::Ready), (3, Asked::NotReady)]);
    assert_eq!(world.endpoints(&[1, 2], &[]), "pods [1, 2]");
    assert_eq!(world.endpoints(&[2, 1], &[]), "rest");
    assert!(world.asked.is_empty(), "all of them are healthy");
    assert_eq!(world.endpoints(&[1, 2], &[3]), "rest");
    assert_eq!(
        world.endpoints(&[1], &[]),
        "pods [1]",
        "a pod that is gone is a change"
    );
}
