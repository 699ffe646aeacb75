//! What holds for every history of edits, failures and restarts.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::world::named;
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Edit {
        version: u8,
        chosen: Option<u8>,
        traffic: Vec<(u8, u8)>,
    },
    Ready(u8),
    Failed(u8),
    Restart,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let chosen = proptest::option::weighted(0.3, 0..2_u8);
    let traffic = proptest::collection::vec((0..5_u8, 1..50_u8), 0..4);
    prop_oneof![
        3 => (0..4_u8, chosen, traffic).prop_map(|(version, chosen, traffic)| Step::Edit { version, chosen, traffic }),
        2 => (1..6_u8).prop_map(Step::Ready),
        1 => (1..6_u8).prop_map(Step::Failed),
        1 => Just(Step::Restart),
        1 => Just(Step::Wait),
    ]
}

/// Entries for these revisions (0 is the latest) whose percents sum to 100.
fn entries(traffic: &[(u8, u8)]) -> String {
    let sum: u8 = traffic.iter().skip(1).map(|(_, percent)| percent / 3).sum();
    let entries = traffic.iter().enumerate().map(|(index, (revision, percent))| {
        let percent = if index == 0 { 100 - sum } else { percent / 3 };
        let to = match revision {
            0 => "latestRevision: true".to_owned(),
            number => format!("revisionName: hello-{number:05}"),
        };
        format!("{to}, percent: {percent}, tag: t{index}")
    });
    entries.collect::<Vec<_>>().join(";")
}

fn play(steps: &[Step]) -> Vec<Plan> {
    let (mut world, mut text) = (World::new(), service("0", ""));
    world.settings.garbage = Garbage {
        min_non_active: 1,
        max_non_active: 3,
        ..Garbage::default()
    };
    let mut plans = Vec::new();
    for step in steps {
        match step {
            Step::Edit {
                version,
                chosen,
                traffic,
            } => {
                let name = chosen.map_or(String::new(), |chosen| format!("hello-chosen{chosen}"));
                text = named(&name, &version.to_string(), &entries(traffic));
            }
            Step::Ready(number) => world.ready(&format!("hello-{number:05}")),
            Step::Failed(number) => world.failed(&format!("hello-{number:05}")),
            Step::Restart => {
                world.observed.clear();
                let stored = serde_json::to_string(&world.state).unwrap();
                assert_eq!(serde_json::from_str::<State>(&stored).unwrap(), world.state);
            }
            Step::Wait => world.now.0 += 50 * 60 * 60,
        }
        // Applying also checks that planning again changes nothing.
        plans.push(world.apply(&text));
    }
    plans
}

proptest! {
    // Each case plays a whole history, twice over.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn shares_sum_to_100_and_lead_to_known_revisions(steps in proptest::collection::vec(step(), 1..25)) {
        for plan in play(&steps) {
            for target in plan.routes.values().flatten() {
                let sum: u32 = target.shares.iter().map(|share| u32::from(share.percent)).sum();
                prop_assert_eq!(sum, 100);
                for share in &target.shares {
                    let revision = plan.revisions.get(&share.revision);
                    prop_assert_eq!(revision.map(|revision| revision.routing), Some(RoutingState::Active));
                }
            }
        }
    }

    #[test]
    fn a_revision_never_changes_and_traffic_never_goes_away(steps in proptest::collection::vec(step(), 1..25)) {
        let plans = play(&steps);
        for (before, after) in plans.iter().zip(plans.iter().skip(1)) {
            for (name, revision) in &after.revisions {
                if let Some(earlier) = before.revisions.get(name) {
                    prop_assert_eq!(&earlier.template, &revision.template);
                }
            }
            let routed = |plan: &Plan| plan.routes.values().any(|targets| !targets.is_empty());
            prop_assert!(!routed(before) || routed(after));
        }
    }

    #[test]
    fn generations_are_unique_and_the_same_history_gives_the_same_plans(
        steps in proptest::collection::vec(step(), 1..15),
    ) {
        let plans = play(&steps);
        for plan in &plans {
            let generations: BTreeSet<_> = plan.revisions.values().map(|known| known.generation).collect();
            prop_assert_eq!(generations.len(), plan.revisions.len());
        }
        prop_assert_eq!(play(&steps), plans);
    }
}
