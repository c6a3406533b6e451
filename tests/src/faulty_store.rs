//! A store that fails on purpose: each write is passed on, refused, or done without looking at its condition.

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it should be.
    Done,
    /// Done, but its condition is not looked at.
    Unconditional,
    /// Refused, with these words.
    Refused(&'static str),
    /// Never answered.
    Unanswered,
}

/// Decides about each write by its key.
pub type Judge = Box<dyn Fn(&Path) -> Fate + Send + Sync>;

/// Another store, with a judge before its writes.
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    judge: Judge,
    /// Whether it answers nobody any more, not even who reads.
    silent: Arc<AtomicBool>,
}

impl FaultyStore {
    /// Puts a judge before a store.
    pub fn new(inner: Arc<dyn ObjectStore>, judge: Judge) -> Self {
        Self { inner, judge, silent: Arc::default() }
    }

    /// A store that hangs for as long as this is set.
    pub fn hanging(inner: Arc<dyn ObjectStore>, silent: &Arc<AtomicBool>) -> Self {
        let (hangs, silent) = (Arc::clone(silent), Arc::clone(silent));
        let judge = move |_: &Path| if hangs.load(Ordering::SeqCst) { Fate::Unanswered } else { Fate::Done };
        Self { inner, judge: Box::new(judge), silent }
    }

    /// A store that says yes to every condition.
    pub fn lying(inner: Arc<dyn ObjectStore>) -> Self {
        Self::new(inner, Box::new(|_| Fate::Unconditional))
    }

    /// A store that takes no writes.
    pub fn read_only(inner: Arc<dyn ObjectStore>) -> Self {
        Self::new(inner, Box::new(|_| Fate::Refused("it is read-only")))
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({:?})", self.inner)
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match (self.judge)(location) {
            Fate::Done => self.inner.put_opts(location, payload, options).await,
            Fate::Unconditional => self.inner.put_opts(location, payload, PutOptions::default()).await,
            Fate::Unanswered => std::future::pending().await,
            Fate::Refused(why) => Err(Error::Generic { store: "faulty", source: why.into() }),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.silent.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
