//! The watches: one task a kind, from the API server into one bounded channel.
//!
//! A watch begins with a list, streamed where the server can, and goes on from its resourceVersion;
//! failures are tried again with a growing pause. A watch that the server forbids is tried once in
//! [`FORBIDDEN_PAUSE`].

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;

use super::health::Kind;
use super::kinds::{
    NamespaceFacts, Node, NodeFacts, OwnerFacts, Pod, PodFacts, Service, ServiceFacts, Slice,
    SliceFacts, Terms,
};

/// How long until what is forbidden is asked for again.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);

/// What a watch says.
#[derive(Debug)]
pub(super) enum Event<T> {
    /// All objects follow.
    Begin,
    /// One of all.
    Listed(T),
    /// These were all.
    End,
    /// One is new, or is not as it was.
    Changed(T),
    /// One has gone.
    Gone(T),
}

/// What a watch of some kind says.
#[derive(Debug)]
pub(super) enum News {
    Node(Event<NodeFacts>),
    Pod(Event<PodFacts>),
    Service(Event<ServiceFacts>),
    Slice(Event<SliceFacts>),
    Namespace(Event<NamespaceFacts>),
    Owner(Kind, Event<OwnerFacts>),
    Failed(Kind, String, bool),
}

/// Starts the watches of these kinds. They end when the receiver has gone.
pub(super) fn start(client: &Client, kinds: &[Kind], terms: &Arc<Terms>, news: &Sender<News>) {
    let watches = Watches { client, news };
    for kind in kinds {
        let terms = Arc::clone(terms);
        match kind {
            Kind::Nodes => watches.start(*kind, move |node: Node| node.facts(&terms), News::Node),
            Kind::Pods => watches.start(*kind, move |pod: Pod| pod.facts(&terms), News::Pod),
            Kind::Services => watches.start(*kind, Service::facts, News::Service),
            Kind::EndpointSlices => watches.start(*kind, Slice::facts, News::Slice),
            Kind::Namespaces => watches.start(
                *kind,
                move |of: PartialObjectMeta<Namespace>| NamespaceFacts::of(of.metadata, &terms),
                News::Namespace,
            ),
            Kind::ReplicaSets => watches.start(
                *kind,
                |owner: PartialObjectMeta<ReplicaSet>| OwnerFacts::of(owner.metadata),
                |event| News::Owner(Kind::ReplicaSets, event),
            ),
            Kind::Jobs => watches.start(
                *kind,
                |owner: PartialObjectMeta<Job>| OwnerFacts::of(owner.metadata),
                |event| News::Owner(Kind::Jobs, event),
            ),
        }
    }
}

/// Where watches ask and tell.
struct Watches<'a> {
    client: &'a Client,
    news: &'a Sender<News>,
}

impl Watches<'_> {
    /// Starts one. `facts`: what is kept of an object.
    fn start<K, T>(
        &self,
        kind: Kind,
        facts: impl Fn(K) -> T + Send + 'static,
        news_of: impl Fn(Event<T>) -> News + Send + 'static,
    ) where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        T: Send + 'static,
    {
        let api = Api::all(self.client.clone());
        tokio::spawn(watch(kind, api, facts, news_of, self.news.clone()));
    }
}

async fn watch<K, T>(
    kind: Kind,
    api: Api<K>,
    facts: impl Fn(K) -> T,
    news_of: impl Fn(Event<T>) -> News,
    news: Sender<News>,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut streaming = true;
    loop {
        let config = if streaming {
            watcher::Config::default().streaming_lists()
        } else {
            watcher::Config::default()
        };
        let mut events = pin!(watcher(api.clone(), config).default_backoff());
        let mut listed = false;
        let mut pause = None;
        while let Some(event) = events.next().await {
            let said = match event {
                Ok(watcher::Event::Init) => news_of(Event::Begin),
                Ok(watcher::Event::InitApply(object)) => news_of(Event::Listed(facts(object))),
                Ok(watcher::Event::InitDone) => {
                    listed = true;
                    news_of(Event::End)
                }
                Ok(watcher::Event::Apply(object)) => news_of(Event::Changed(facts(object))),
                Ok(watcher::Event::Delete(object)) => news_of(Event::Gone(facts(object))),
                Err(error) => {
                    let code = code(&error);
                    // A server that cannot stream a list refuses it, or breaks it off.
                    if streaming
                        && !listed
                        && code.is_some_and(|code| !matches!(code, 401 | 403 | 429))
                    {
                        streaming = false;
                        break;
                    }
                    let forbidden = code == Some(403);
                    pause = forbidden.then_some(FORBIDDEN_PAUSE);
                    News::Failed(kind, error.to_string(), forbidden)
                }
            };
            if news.send(said).await.is_err() {
                return;
            }
            if pause.is_some() {
                break;
            }
        }
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
}

/// The status code of the server's answer, if it did answer.
fn code(error: &watcher::Error) -> Option<u16> {
    use watcher::Error::{
        InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed,
    };
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => Some(status.code),
        InitialListFailed(_) | WatchStartFailed(_) | WatchFailed(_) | NoResourceVersion => None,
    }
}
