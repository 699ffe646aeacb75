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

    /// Answers what is asked until the check has ended; says what was published at last.
    fn follow(&mut self, mut step: Step) -> String {
        self.asked.clear();
        loop {
            step = match step {
                Step::Rest => return said(self.state.take_news()),
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

fn said(news: Option<Destinations>) -> String {
    match news {
        None => "rest".to_owned(),
        Some(Destinations::None) => "none".to_owned(),
        Some(Destinations::Pods(pods)) => {
            let ports: Vec<_> = pods.iter().map(SocketAddr::port).collect();
            format!("pods {ports:?}")
        }
        Some(Destinations::ClusterIp { ready, .. }) => format!("service {ready}"),
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

/// A watcher whose pods have not answered yet, step by step.
struct Slow(State);

impl Slow {
    fn new(mesh: Mesh) -> Self {
        Self(State::new(Rules {
            mesh,
            ..Rules::default()
        }))
    }

    /// Whom it asks next and what it publishes, once this is said of pods.
    fn endpoints(&mut self, ready: &[u16], not_ready: &[u16]) -> (Vec<u16>, String) {
        let set = |ports: &[u16]| ports.iter().copied().map(address).collect();
        let step = self.0.endpoints(Sets {
            ready: set(ready),
            not_ready: set(not_ready),
        });
        self.outcome(step)
    }

    fn answers(&mut self, port: u16, asked: Asked) -> (Vec<u16>, String) {
        let step = self.0.pods_answered(&[(address(port), asked)]);
        self.outcome(step)
    }

    fn outcome(&mut self, step: Step) -> (Vec<u16>, String) {
        let asked = match step {
            Step::AskPods(pods) => pods.iter().map(SocketAddr::port).collect(),
            Step::FindService => vec![SERVICE],
            _ => Vec::new(),
        };
        (asked, said(self.0.take_news()))
    }
}

fn so(asked: &[u16], said: &str) -> (Vec<u16>, String) {
    (asked.to_vec(), said.to_owned())
}

#[test]
fn a_pod_is_used_the_moment_that_its_own_answer_is_known() {
    for mesh in [Mesh::Auto, Mesh::Disabled] {
        let mut pods = Slow::new(mesh);
        assert_eq!(pods.endpoints(&[], &[1, 2, 3]), so(&[1, 2, 3], "rest"));
        assert_eq!(pods.answers(2, Asked::Ready), so(&[], "pods [2]"));
        assert_eq!(pods.answers(1, Asked::NotReady), so(&[], "rest"));
        let first = Step::AskPods(vec![address(1)]);
        assert_eq!(
            pods.0.tick(),
            first,
            "whoever has not answered is not asked twice"
        );
        assert_eq!(pods.answers(3, Asked::Failed), so(&[], "rest"));
        assert_eq!(
            pods.0.tick(),
            Step::AskPods(vec![address(3)]),
            "the first is asked by now"
        );
    }
}

#[test]
fn what_is_said_of_pods_while_others_are_asked_is_heeded_at_once() {
    let mut pods = Slow::new(Mesh::Disabled);
    assert_eq!(pods.endpoints(&[1], &[2]), so(&[2], "pods [1]"));
    assert_eq!(pods.endpoints(&[1, 3], &[2]), so(&[], "pods [1, 3]"));
    assert_eq!(pods.endpoints(&[3], &[2, 4]), so(&[4], "pods [3]"));
    // It is ready by now, whatever it says to a question from before.
    assert_eq!(pods.endpoints(&[2, 3], &[4]), so(&[], "pods [2, 3]"));
    assert_eq!(pods.answers(2, Asked::Failed), so(&[], "rest"));
    let mut pods = Slow::new(Mesh::Auto);
    assert_eq!(pods.endpoints(&[1, 2], &[]), so(&[1, 2], "rest"));
    assert_eq!(pods.endpoints(&[1, 2, 3], &[]), so(&[3], "rest"));
    assert_eq!(pods.answers(3, Asked::Ready), so(&[], "pods [3]"));
}

#[test]
fn a_pod_that_went_while_it_was_asked_never_comes_back_by_its_answer() {
    for mesh in [Mesh::Auto, Mesh::Disabled] {
        let mut pods = Slow::new(mesh);
        pods.endpoints(&[], &[1, 2]);
        assert_eq!(pods.endpoints(&[], &[2]), so(&[], "rest"));
        assert_eq!(pods.answers(1, Asked::Ready), so(&[], "rest"));
        assert_eq!(pods.answers(2, Asked::Ready), so(&[], "pods [2]"));
        pods.endpoints(&[], &[2, 3]);
        assert_eq!(pods.endpoints(&[], &[3]), so(&[], "pods []"));
        assert_eq!(pods.endpoints(&[], &[]), so(&[], "none"));
        assert_eq!(pods.answers(3, Asked::Ready), so(&[], "rest"));
    }
}

#[test]
fn a_pod_that_turned_unready_serves_until_it_has_answered() {
    for (answer, expected) in [(Asked::Ready, "pods [1, 2]"), (Asked::NotReady, "pods [1]")] {
        for mesh in [Mesh::Auto, Mesh::Disabled] {
            let mut pods = Slow::new(mesh);
            pods.endpoints(&[1, 2], &[]);
            pods.0
                .pods_answered(&[1, 2].map(|port| (address(port), Asked::Ready)));
            pods.0.take_news();
            assert_eq!(pods.endpoints(&[1], &[2]), so(&[2], "rest"));
            assert_eq!(pods.endpoints(&[1], &[2, 3]), so(&[3], "rest"));
            assert_eq!(pods.answers(2, answer), so(&[], expected));
        }
    }
}

#[test]
fn whether_a_mesh_is_between_is_known_once_all_have_answered() {
    let mut pods = Slow::new(Mesh::Auto);
    pods.endpoints(&[1], &[2]);
    assert_eq!(pods.answers(1, Asked::PerhapsMesh), so(&[], "rest"));
    assert_eq!(pods.answers(2, Asked::Failed), so(&[SERVICE], "rest"));
    pods.0.tick();
    assert_eq!(pods.answers(1, Asked::NotReady), so(&[], "rest"));
    assert_eq!(pods.answers(2, Asked::PerhapsMesh), so(&[], "rest"));
}

#[test]
fn who_never_answers_keeps_nobody_from_being_asked_again_nor_a_mesh_from_being_found() {
    let mut pods = Slow::new(Mesh::Auto);
    assert_eq!(pods.endpoints(&[1], &[]), so(&[1], "rest"));
    assert_eq!(pods.answers(1, Asked::Failed), so(&[SERVICE], "rest"));
    assert_eq!(pods.0.service_found(None), Step::Rest);
    assert_eq!(pods.0.tick(), Step::AskPods(vec![address(1)]));
    assert_eq!(pods.endpoints(&[1], &[2]), so(&[2], "rest"));
    assert_eq!(pods.answers(1, Asked::Failed), so(&[], "rest"));
    assert_eq!(pods.0.tick(), Step::AskPods(vec![address(1)]));
    assert_eq!(
        pods.answers(2, Asked::Failed),
        so(&[SERVICE], "rest"),
        "each has answered"
    );
}

#[test]
fn a_pod_that_is_said_to_be_ready_is_asked_at_once_though_others_have_not_answered() {
    let mut pods = Slow::new(Mesh::Auto);
    pods.endpoints(&[], &[1, 2]);
    pods.answers(1, Asked::NotReady);
    assert_eq!(pods.endpoints(&[1], &[2]), so(&[1], "rest"));
    assert_eq!(pods.answers(1, Asked::Ready), so(&[], "pods [1]"));
}

#[test]
fn what_a_pod_answered_before_it_turned_unready_is_asked_again() {
    let mut pods = Slow::new(Mesh::Disabled);
    assert_eq!(pods.endpoints(&[], &[1]), so(&[1], "rest"));
    assert_eq!(pods.endpoints(&[1], &[]), so(&[], "pods [1]"));
    assert_eq!(pods.endpoints(&[], &[1]), so(&[], "rest"));
    assert_eq!(
        pods.answers(1, Asked::Ready),
        so(&[1], "rest"),
        "it was ready then"
    );
    assert_eq!(pods.answers(1, Asked::NotReady), so(&[], "pods []"));
}

/// A watcher that asks at the service of its one pod, which has not answered.
fn asking_at_service() -> Slow {
    let mut pods = Slow::new(Mesh::Auto);
    pods.endpoints(&[1], &[]);
    assert_eq!(pods.answers(1, Asked::Failed), so(&[SERVICE], "rest"));
    let service = address(SERVICE);
    assert_eq!(pods.0.service_found(Some(service)), Step::AskService(service));
    assert_eq!(pods.0.tick(), Step::AskPods(vec![address(1)]));
    pods
}

#[test]
fn the_service_is_asked_one_thing_at_a_time() {
    let mut pods = asking_at_service();
    assert_eq!(pods.answers(1, Asked::Failed), so(&[], "rest"));
    let step = pods.0.service_answered(Asked::Failed);
    assert_eq!(pods.outcome(step), so(&[], "rest"));
    pods.0.tick();
    assert_eq!(pods.answers(1, Asked::Failed), so(&[SERVICE], "rest"));
}

#[test]
fn what_answers_first_pod_or_service_is_believed() {
    for (answer, expected) in [(Asked::Ready, "pods [1]"), (Asked::NotReady, "rest")] {
        let mut pods = asking_at_service();
        assert_eq!(pods.answers(1, answer), so(&[], expected));
        let step = pods.0.service_answered(Asked::Ready);
        assert_eq!(
            pods.outcome(step),
            so(&[], "rest"),
            "a pod has shown that there is no mesh"
        );
        let mut pods = asking_at_service();
        let step = pods.0.service_answered(Asked::Ready);
        assert_eq!(pods.outcome(step), so(&[], "service 1"));
        assert_eq!(pods.answers(1, answer), so(&[], "rest"));
    }
}

#[test]
fn what_the_service_answered_to_a_question_from_before_there_was_no_pod_is_worth_nothing() {
    for now in [&[][..], &[1]] {
        let mut pods = asking_at_service();
        pods.endpoints(&[], &[]);
        pods.endpoints(now, &[]);
        let step = pods.0.service_answered(Asked::Ready);
        assert_eq!(pods.outcome(step), so(&[], "rest"));
    }
}
