//! Is anything lost while every part is replaced, one after the other, under load?

use crate::cluster::Path;
use crate::stage::{First, Stage};

#[tokio::test]
async fn pods_are_replaced_behind_activators_and_without_and_nothing_is_lost() {
    let mut stage = Stage::start().await;
    stage.goes_on().await;
    stage.replace_pods(First::Senders).await;
    stage.replace_pods(First::Pod).await;
    stage.lead(Path::Pods).await;
    stage.replace_pods(First::Senders).await;
    stage.replace_pods(First::Pod).await;
    stage.lead(Path::Activators).await;
    stage.end().await;
}

#[tokio::test]
async fn pods_are_replaced_behind_ingresses_that_hold_requests_themselves_and_nothing_is_lost() {
    let mut stage = Stage::start().await;
    stage.goes_on().await;
    stage.lead(Path::Ingresses).await;
    stage.replace_pods(First::Senders).await;
    stage.replace_pods(First::Pod).await;
    stage.lead(Path::Activators).await;
    stage.lead(Path::Ingresses).await;
    stage.replace_ingresses().await;
    stage.end().await;
}

#[tokio::test]
async fn activators_are_replaced_one_after_the_other_and_nothing_is_lost() {
    let mut stage = Stage::start().await;
    stage.goes_on().await;
    stage.replace_activators().await;
    stage.lead(Path::Pods).await;
    stage.lead(Path::Activators).await;
    stage.end().await;
}

#[tokio::test]
async fn ingresses_are_replaced_one_after_the_other_and_nothing_is_lost() {
    let mut stage = Stage::start().await;
    stage.goes_on().await;
    stage.replace_ingresses().await;
    stage.lead(Path::Pods).await;
    stage.replace_ingresses().await;
    stage.end().await;
}

#[tokio::test]
async fn over_tls_certificates_and_pods_are_replaced_and_nothing_is_lost() {
    let mut stage = Stage::encrypted().await;
    stage.goes_on().await;
    for path in [Path::Activators, Path::Pods, Path::Ingresses] {
        stage.lead(path).await;
        stage.replace_certificates().await;
        stage.replace_pods(First::Pod).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn over_tls_activators_and_ingresses_are_replaced_and_nothing_is_lost() {
    let mut stage = Stage::encrypted().await;
    stage.goes_on().await;
    stage.replace_activators().await;
    stage.replace_ingresses().await;
    stage.end().await;
}
