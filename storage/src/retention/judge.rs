//! What goes of a repository.
//!
//! First the tags, each by the rule that decides about it. Then the manifests: what a tag that stays needs stays, with the children of
//! indexes and with what is about it (signatures, attestations); what a tag that goes was the last to need goes with it; what nothing
//! needed before goes when its time is over, if the product says one. A tag that is called like a manifest of the shelf (`sha256-…`, with
//! or without `.sig` and the like, as tools sign that know no referrers) is about that, and no rule counts it.

use std::collections::{HashMap, HashSet};
use std::fmt;

use engine::clock::Timestamp;

use super::rules::{Retention, TagRule};
use crate::{Digest, Tag, TagGlob};

/// What the newest version of a repository holds, as far as rules look at it.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// Its tags.
    pub tags: Vec<Tagged>,
    /// Its manifests, and those that were pushed and are in no version yet.
    pub manifests: Vec<Manifest>,
    /// Before this nobody knows of pulls.
    pub pulls_known_since: Timestamp,
}

/// A tag.
#[derive(Clone, Debug)]
pub struct Tagged {
    /// The tag.
    pub tag: Tag,
    /// The manifest it points to.
    pub digest: Digest,
    /// When it was pushed: what makes it newer than others.
    pub pushed_at: Timestamp,
    /// When it was set last, by a push or by a rollback.
    pub set_at: Timestamp,
    /// When it was pulled last, by its name or by its manifest's digest.
    pub pulled_at: Option<Timestamp>,
    /// A push of it is under way, or waits.
    pub is_being_pushed: bool,
}

/// A manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its digest.
    pub digest: Digest,
    /// The manifests that it lists, as an index.
    pub children: Vec<Digest>,
    /// The manifest that it is about.
    pub subject: Option<Digest>,
    /// When it was pushed, pulled by its digest, or lost its last tag, whichever came last.
    pub wanted_at: Timestamp,
    /// It is in the version.
    pub is_filed: bool,
    /// Somebody has just pushed it again, and may be about to push what needs it.
    pub is_just_pushed: bool,
}

/// What goes, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Going {
    /// Tags, in their order.
    pub tags: Vec<(Tag, Digest, Why)>,
    /// Manifests, by digest.
    pub manifests: Vec<(Digest, Why)>,
}

/// Why something goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A rule decides about the tag, and none of its criteria keeps it.
    Rule {
        /// Which of the rules, from 1.
        number: usize,
        /// What it says.
        rule: TagRule,
        /// When the tag was set last.
        set_at: Timestamp,
        /// When it was pulled last; none: never, as far as is known.
        pulled_at: Option<Timestamp>,
    },
    /// The last tag that needed the manifest goes.
    LastTag,
    /// It is called like a manifest that goes, because it is about that.
    Subject {
        /// The manifest.
        digest: Digest,
    },
    /// Nothing needs the manifest, and nobody has wanted it since.
    Untagged {
        /// Since when.
        since: Timestamp,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule {
                number,
                rule,
                set_at,
                pulled_at,
            } => {
                write!(f, "rule {number} ({rule}); it was set {set_at}, ")?;
                match pulled_at {
                    Some(at) => write!(f, "pulled {at}"),
                    None => f.write_str("never pulled"),
                }
            }
            Self::LastTag => f.write_str("the last tag that needs it goes"),
            Self::Subject { digest } => write!(f, "it is about {digest}, which goes"),
            Self::Untagged { since } => {
                write!(
                    f,
                    "nothing needs it, and nobody has wanted it since {since}"
                )
            }
        }
    }
}

impl Going {
    /// True if everything stays.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.tags.is_empty() && self.manifests.is_empty()
    }

    /// What goes of the shelf at `now`. Tags that one of `immutable` matches stay.
    #[must_use]
    pub fn of(shelf: &Shelf, rules: &Retention, immutable: &[TagGlob], now: Timestamp) -> Self {
        let signed = Signed::of(shelf);
        let fates = fates(shelf, rules, &signed, immutable, now);
        let (mut tags, mut staying, mut losing) = (Vec::new(), Vec::new(), Vec::new());
        for (tagged, goes) in shelf.tags.iter().zip(&fates) {
            match goes {
                Some(_) => losing.push(tagged.digest),
                None if signed.subject_of(&tagged.tag).is_some() => {}
                None => staying.push(tagged.digest),
            }
        }
        let manifests = manifests(shelf, &signed, rules, (&staying, &losing), now);
        let gone: HashSet<Digest> = manifests.iter().map(|(digest, _)| *digest).collect();
        for (tagged, goes) in shelf.tags.iter().zip(fates) {
            let subject = signed.subject_of(&tagged.tag);
            let subject = subject.filter(|_| gone.contains(&tagged.digest));
            let why = goes.or_else(|| subject.map(|digest| Why::Subject { digest }));
            tags.extend(why.map(|why| (tagged.tag.clone(), tagged.digest, why)));
        }
        Self { tags, manifests }
    }
}

/// The tags that are about a manifest of the shelf, by their names.
struct Signed<'a>(HashMap<&'a Tag, Digest>);

impl<'a> Signed<'a> {
    fn of(shelf: &'a Shelf) -> Self {
        let there: HashSet<Digest> = shelf.manifests.iter().map(|it| it.digest).collect();
        let named = |tagged: &'a Tagged| {
            if tagged.is_being_pushed {
                return None;
            }
            let digest = named_by(&tagged.tag)?;
            let is_about = there.contains(&digest) && digest != tagged.digest;
            is_about.then_some((&tagged.tag, digest))
        };
        Self(shelf.tags.iter().filter_map(named).collect())
    }

    fn subject_of(&self, tag: &Tag) -> Option<Digest> {
        self.0.get(tag).copied()
    }
}

/// `sha256-<64 hex digits>`, with or without a suffix after a dot: the digest.
fn named_by(tag: &Tag) -> Option<Digest> {
    let text = tag.to_string();
    let (algorithm, rest) = text.split_once('-')?;
    let hex = rest.split_once('.').map_or(rest, |(hex, _)| hex);
    format!("{algorithm}:{hex}").parse().ok()
}

/// Why each tag goes; none: it stays, or does as what it is about.
fn fates(
    shelf: &Shelf,
    rules: &Retention,
    signed: &Signed<'_>,
    immutable: &[TagGlob],
    now: Timestamp,
) -> Vec<Option<Why>> {
    let mut by_rule: HashMap<usize, Vec<&Tagged>> = HashMap::new();
    let by_rules = |tagged: &&Tagged| signed.subject_of(&tagged.tag).is_none();
    for tagged in shelf.tags.iter().filter(by_rules) {
        if let Some((number, _)) = rules.of(&tagged.tag) {
            by_rule.entry(number).or_default().push(tagged);
        }
    }
    let mut newest: HashSet<&Tag> = HashSet::new();
    for (number, mut tags) in by_rule {
        let Some(kept) = rules.tags[number - 1].keep_newest else {
            continue;
        };
        // Of those that were pushed at the same time the greater name counts as newer: as good as any order, and always the same.
        tags.sort_by(|a, b| (b.pushed_at, &b.tag).cmp(&(a.pushed_at, &a.tag)));
        newest.extend(tags.iter().take(kept.get()).map(|tagged| &tagged.tag));
    }
    let fate = |tagged: &Tagged| {
        let (number, rule) = rules.of(&tagged.tag)?;
        let used_at = tagged.set_at.max(tagged.pulled_at.unwrap_or_default());
        let used_at = used_at.max(shelf.pulls_known_since);
        let is_kept = tagged.is_being_pushed
            || !by_rules(&tagged)
            || immutable.iter().any(|glob| glob.matches(&tagged.tag))
            || newest.contains(&tagged.tag)
            || is_within(rule.keep_pushed_within, tagged.set_at, now)
            || is_within(rule.keep_pulled_within, used_at, now);
        (!is_kept).then(|| Why::Rule {
            number,
            rule: rule.clone(),
            set_at: tagged.set_at,
            pulled_at: tagged.pulled_at,
        })
    };
    shelf.tags.iter().map(fate).collect()
}

fn is_within(within: Option<super::Within>, at: Timestamp, now: Timestamp) -> bool {
    within.is_some_and(|within| now.since(at) < within.get())
}

/// Which manifests go, given what the tags that stay, and those that go, point to.
fn manifests(
    shelf: &Shelf,
    signed: &Signed<'_>,
    rules: &Retention,
    (staying, losing): (&[Digest], &[Digest]),
    now: Timestamp,
) -> Vec<(Digest, Why)> {
    let bonds = Bonds::of(shelf, signed);
    // What is not filed yet was just pushed, too: somebody was told that it is here, and that so is what it needs.
    let pending = shelf.manifests.iter();
    let pending = pending.filter(|it| !it.is_filed || it.is_just_pushed);
    let mut needed = HashSet::new();
    bonds.reach(staying.iter().copied(), &mut needed);
    bonds.reach(pending.map(|it| it.digest), &mut needed);
    let mut losing_all = HashSet::new();
    bonds.reach(losing.iter().copied(), &mut losing_all);
    losing_all.retain(|digest| !needed.contains(digest));

    let stays_by_itself = |manifest: &&Manifest| {
        let hangs = bonds.hangs(manifest);
        !hangs
            && !losing_all.contains(&manifest.digest)
            && (rules.untagged_within.is_none()
                || is_within(rules.untagged_within, manifest.wanted_at, now))
    };
    let by_itself = shelf.manifests.iter().filter(stays_by_itself);
    bonds.reach(by_itself.map(|it| it.digest), &mut needed);

    let goes = shelf.manifests.iter();
    let goes = goes.filter(|it| it.is_filed && !needed.contains(&it.digest));
    let mut going: Vec<(Digest, Why)> = goes
        .map(|manifest| {
            let why = if losing_all.contains(&manifest.digest) {
                Why::LastTag
            } else {
                let since = manifest.wanted_at;
                Why::Untagged { since }
            };
            (manifest.digest, why)
        })
        .collect();
    going.sort_by_key(|(digest, _)| digest.to_string());
    going
}

/// What stays with what: children with their index, and what is about a manifest with that.
struct Bonds<'a> {
    by_digest: HashMap<Digest, &'a Manifest>,
    about: HashMap<Digest, Vec<Digest>>,
    /// Manifests whose tag is about another one.
    signing: HashSet<Digest>,
}

impl<'a> Bonds<'a> {
    fn of(shelf: &'a Shelf, signed: &Signed<'_>) -> Self {
        let mut about: HashMap<Digest, Vec<Digest>> = HashMap::new();
        let mut signing = HashSet::new();
        for tagged in &shelf.tags {
            if let Some(subject) = signed.subject_of(&tagged.tag) {
                about.entry(subject).or_default().push(tagged.digest);
                signing.insert(tagged.digest);
            }
        }
        for manifest in &shelf.manifests {
            if let Some(subject) = manifest.subject {
                about.entry(subject).or_default().push(manifest.digest);
            }
        }
        let by_digest = shelf.manifests.iter().map(|it| (it.digest, it)).collect();
        Self {
            by_digest,
            about,
            signing,
        }
    }

    /// It stays and goes with what it is about.
    fn hangs(&self, manifest: &Manifest) -> bool {
        self.signing.contains(&manifest.digest) || manifest.subject.is_some_and(|it| self.has(&it))
    }

    fn has(&self, digest: &Digest) -> bool {
        self.by_digest.contains_key(digest)
    }

    /// Adds all that stays with these.
    fn reach(&self, from: impl IntoIterator<Item = Digest>, reached: &mut HashSet<Digest>) {
        let mut next: Vec<Digest> = from.into_iter().collect();
        while let Some(digest) = next.pop() {
            if !reached.insert(digest) {
                continue;
            }
            if let Some(manifest) = self.by_digest.get(&digest) {
                next.extend(&manifest.children);
            }
            next.extend(self.about.get(&digest).into_iter().flatten());
        }
    }
}

#[cfg(test)]
mod tests;
