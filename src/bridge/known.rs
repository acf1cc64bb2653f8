//! What is known of a mailbox: its folders' registers as the store has them, and the contents made of them.
//!
//! Must not know: sessions, how indexes are had.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::account::Terms;
use super::measured::Measures;
use super::trouble::Trouble;
use crate::maildrop::{Contents, Delta, Index, Place, Register, Seq, Uid, Uidl};
use crate::store::{FolderId, FolderRow, MailboxId, Role, Store};

/// A mailbox at one version of the store. Shared, never changed.
#[derive(Clone)]
pub(super) struct Known {
    /// The mailbox's version in the store; whoever changes it raises it.
    pub(super) version: i64,
    /// The number that the next new message gets.
    pub(super) next_seq: Seq,
    /// The folders in the order in which messages are looked for in them.
    pub(super) folders: Vec<Folder>,
    /// How long messages are that are listed with another size.
    pub(super) measures: Arc<Measures>,
    /// What sessions see of it.
    pub(super) contents: Arc<Contents>,
    /// How many changes of the measures are in that.
    measured: u64,
    /// The [shape](Terms::shape) of the terms that it was made by.
    shape: u64,
}

/// The folders of a mailbox, as on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// Those that are served, the first one first.
    pub(super) served: Vec<String>,
    /// The one of the bridge's own into which arrivals are copied.
    pub(super) hold: Option<String>,
}

impl Names {
    /// The folders that the store knows.
    pub(super) fn of(rows: Vec<FolderRow>) -> Self {
        let mut names = Self {
            served: Vec::new(),
            hold: None,
        };
        for row in rows {
            match row.role {
                Role::Served => names.served.push(row.name),
                Role::Hold => names.hold = Some(row.name),
            }
        }
        names
    }
}

/// One folder.
#[derive(Clone)]
pub(super) struct Folder {
    pub(super) id: FolderId,
    /// As on the wire.
    pub(super) name: String,
    /// What it is there for.
    pub(super) role: Role,
    /// Appended to the unique-ids that are made for it.
    pub(super) suffix: Box<str>,
    /// None before it was listed for the first time.
    pub(super) register: Option<Arc<Register>>,
    /// The last index, which may have newer counters than the register's.
    pub(super) index: Option<Arc<Index>>,
}

impl Known {
    /// Reads all of it from the store.
    pub(super) async fn load(
        store: &Store,
        mailbox: MailboxId,
        terms: &Terms,
        names: &Names,
    ) -> Result<Self, Trouble> {
        loop {
            let (version, next_seq) = store.next(mailbox).await?;
            let mut folders = Vec::with_capacity(names.served.len() + 1);
            let mut torn = false;
            let served = names.served.iter().map(|name| (name, Role::Served));
            // The served ones first: the number in which they are made decides whose unique-ids are plain.
            for (name, role) in served.chain(names.hold.iter().map(|name| (name, Role::Hold))) {
                let row = store.folder(mailbox, name, role).await?;
                let read = store.register(row.id).await?;
                // Somebody wrote between two reads: all is read again.
                torn |= read.as_ref().is_some_and(|(_, then, _)| *then != version);
                let register = read.map(|(register, ..)| Arc::new(register));
                folders.push(Folder {
                    id: row.id,
                    suffix: row.suffix(),
                    name: row.name,
                    role,
                    index: register
                        .as_ref()
                        .map(|register| Arc::clone(&register.index)),
                    register,
                });
            }
            if !torn {
                // What is held is read from there.
                folders.sort_by_key(|folder| folder.role != Role::Hold);
                let measures = Arc::new(Measures::new(store.sizes(mailbox).await?));
                let (contents, measured) = contents(terms, &folders, &measures);
                return Ok(Self {
                    version,
                    next_seq,
                    folders,
                    measures,
                    contents,
                    measured,
                    shape: terms.shape(),
                });
            }
        }
    }

    /// The folder into which arrivals are copied; it is the first one.
    pub(super) fn hold(&self) -> Option<&Folder> {
        self.folders
            .first()
            .filter(|folder| folder.role == Role::Hold)
    }

    /// The folder that a place is.
    pub(super) fn folder_of(&self, place: &Place) -> Option<&Folder> {
        self.folders
            .iter()
            .find(|folder| folder.id.get() == place.folder_id)
    }

    /// The positions of the folders that are served, in their order.
    pub(super) fn served(&self) -> std::ops::Range<usize> {
        usize::from(self.hold().is_some())..self.folders.len()
    }

    /// The same with one folder as it is now in the store.
    pub(super) fn with(
        &self,
        terms: &Terms,
        at: usize,
        register: Arc<Register>,
        delta: &Delta,
        version: i64,
    ) -> Self {
        let mut known = self.clone();
        known.version = version;
        known.next_seq = delta.next_seq;
        if let Some(folder) = known.folders.get_mut(at) {
            folder.index = Some(Arc::clone(&register.index));
            folder.register = Some(register);
        }
        known.make_contents(terms);
        known
    }

    /// The same with all the sizes that were counted since it was made; none if there are none.
    pub(super) fn measured(&self, terms: &Terms) -> Option<Self> {
        if self.measures.changes() == self.measured {
            return None;
        }
        let mut known = self.clone();
        known.make_contents(terms);
        known.measures.bound(&known.contents);
        Some(known)
    }

    /// Whether it would be the same if it were made by these terms.
    pub(super) fn is_by(&self, terms: &Terms) -> bool {
        self.shape == terms.shape()
    }

    fn make_contents(&mut self, terms: &Terms) {
        self.shape = terms.shape();
        (self.contents, self.measured) = contents(terms, &self.folders, &self.measures);
    }

    /// The same without messages that the bridge itself has taken away.
    pub(super) fn without(
        &self,
        terms: &Terms,
        gone: &[(FolderId, Seq)],
        version: i64,
        now: i64,
    ) -> Self {
        let mut known = self.clone();
        known.version = version;
        for folder in &mut known.folders {
            let here = gone.iter().filter(|(id, _)| *id == folder.id);
            let taken: HashSet<Seq> = here.map(|(_, seq)| *seq).collect();
            if let Some(register) = folder.register.as_ref().filter(|_| !taken.is_empty()) {
                let register = Arc::new(register.without(&taken, now));
                folder.index = Some(Arc::clone(&register.index));
                folder.register = Some(register);
            }
        }
        known.make_contents(terms);
        known
    }

    /// Messages of a new index that other folders of the mailbox have, too: Gmail shows one message in several.
    pub(super) fn linked(&self, at: usize, fresh: &Index) -> HashMap<Uid, (Seq, Box<str>)> {
        let Some(ids) = fresh.gm_msgids.as_ref().filter(|_| self.folders.len() > 1) else {
            return HashMap::new();
        };
        let mut elsewhere = HashMap::new();
        let others = self.folders.iter().enumerate().filter(|(i, _)| *i != at);
        let others: Vec<_> = others
            .filter_map(|(_, folder)| folder.register.as_ref())
            .collect();
        // What has just left another folder is the same message, too; one that is there still comes first.
        for gone in others.iter().flat_map(|register| &register.gone) {
            if let (Some(id), Some(uidl), false) =
                (gone.gm_msgid, Uidl::new(&gone.uidl), gone.disposed)
            {
                elsewhere.insert(id, (gone.seq, uidl));
            }
        }
        for register in others {
            for (position, entry) in register.entries.iter().enumerate() {
                if let (Some(id), Some(uidl)) =
                    (register.gm_msgid(position), register.uidl(position))
                {
                    elsewhere.insert(id, (entry.seq, uidl));
                }
            }
        }
        let text = |uidl: &Uidl| uidl.as_str().into();
        let pairs = fresh.messages.iter().zip(ids);
        pairs
            .filter_map(|(message, id)| {
                let (seq, uidl) = elsewhere.get(id)?;
                Some((message.uid, (*seq, text(uidl))))
            })
            .collect()
    }

    /// What it takes in memory, about.
    pub(super) fn heap_bytes(&self) -> usize {
        // The registers are the contents' own, and a newer index is about as large as an older one.
        let folders = self.folders.len() * size_of::<Folder>();
        self.contents.heap_bytes() + self.measures.heap_bytes() + folders
    }
}

/// What sessions see of these folders, and how many changes of the measures are in that.
fn contents(terms: &Terms, folders: &[Folder], measures: &Measures) -> (Arc<Contents>, u64) {
    let inbox = folders.iter().find(|folder| folder.role == Role::Served);
    let header = |folder: &Folder| {
        let field = terms.folder_header.as_ref()?;
        // What is held was in the first folder, most likely; its copy says nothing else.
        let named = match folder.role {
            Role::Served => folder,
            Role::Hold => inbox?,
        };
        Some(format!("{field}: {}", named.name))
    };
    let listed = folders.iter().filter_map(|folder| {
        let register = Arc::clone(folder.register.as_ref()?);
        let place = Place {
            folder: folder.name.clone(),
            folder_id: folder.id.get(),
            uid_validity: register.index.uid_validity,
            header: header(folder),
        };
        Some((place, register))
    });
    let (sizes, measured) = measures.now();
    let contents = Contents::measured(listed.collect(), &sizes);
    (Arc::new(contents), measured)
}
