//! The rules of a mailbox, from the keys that upstreams and accounts share: their meaning, and that no key is without effect.

use super::check::Check;
use super::error::ConfigError;
use super::file::{self, RuleKeys, Text};
use super::{units, words};
use crate::policy::{
    AfterRetrieve, Archive, Dispose, DisposeRule, OnDelete, Retention, Rules, Trash, When,
};

/// The keyword of `dispose = "flag"`.
const KEYWORD: &str = "$Disposed";
const HOUR: i64 = 60 * 60;
pub(super) const DAY: i64 = 24 * HOUR;
/// A hundred years: older than any mail, and safe to add to any date.
pub(super) const OLDEST: i64 = 36_500 * DAY;

/// How messages are disposed of where nothing is said: as a POP3 program expects of DELE.
pub(super) fn default_disposal() -> DisposeRule {
    DisposeRule {
        dispose: Dispose::Expunge,
        trash: Trash::SpecialUse,
        archive: Archive::SpecialUse,
        keyword: KEYWORD.to_owned(),
        expunge_without_uidplus: false,
    }
}

/// What `keys` of the table `owner` (such as `[account.info]`) say, and for disposal what `disposal` says where they say nothing.
pub(super) fn rules(
    check: &Check<'_>,
    owner: &str,
    keys: RuleKeys,
    mut disposal: DisposeRule,
    warnings: &mut Vec<String>,
) -> Result<(Rules, DisposeRule), ConfigError> {
    if let Some(text) = &keys.dispose {
        let known = [
            ("expunge", Dispose::Expunge),
            ("trash", Dispose::Trash),
            ("archive", Dispose::Archive),
            ("flag", Dispose::Flag),
            ("nothing", Dispose::Nothing),
        ];
        disposal.dispose = check.word(text, &known)?;
    }
    let mut rules = Rules {
        delivered_without_quit: keys.delivered_without_quit.unwrap_or_default(),
        ..Rules::default()
    };
    if let Some(text) = &keys.on_delete {
        rules.on_delete = Some(check.parsed(text, words::on_delete)?);
    }
    if let Some(text) = &keys.after_retrieve {
        rules.after_retrieve = check.parsed(text, words::after_retrieve)?;
    }
    if let Some(text) = &keys.trash {
        disposal.trash = check.parsed(text, words::trash)?;
        // Whoever names a folder wants the mail to be there, not gone.
        let used =
            disposal.dispose == Dispose::Trash || rules.after_retrieve == AfterRetrieve::Trash;
        if disposal.trash != Trash::SpecialUse && !used {
            let message = format!(
                "a trash folder is named but messages would be {}; add dispose = \"trash\"",
                done_by(disposal.dispose)
            );
            return Err(check.error(text.span(), message));
        }
    }
    if let Some(text) = &keys.archive {
        disposal.archive = check.parsed(text, words::archive)?;
        let used =
            disposal.dispose == Dispose::Archive || rules.after_retrieve == AfterRetrieve::Archive;
        if disposal.archive != Archive::SpecialUse && !used {
            let message = format!(
                "an archive folder is named but messages would be {}; add dispose = \"archive\"",
                done_by(disposal.dispose)
            );
            return Err(check.error(text.span(), message));
        }
    }
    if let Some(text) = &keys.keyword {
        disposal.keyword = check.parsed(text, words::keyword)?;
        if disposal.keyword != KEYWORD && disposal.dispose != Dispose::Flag {
            let message = format!(
                "a keyword is named but messages would be {}; add dispose = \"flag\"",
                done_by(disposal.dispose)
            );
            return Err(check.error(text.span(), message));
        }
    }
    if let Some(text) = &keys.client_expires {
        rules.client_expires = Some(seconds(check, text, DAY)?);
    }
    if let Some(table) = &keys.retention {
        rules.retention = retention(check, table)?;
        warn(owner, &rules.retention, disposal.dispose, warnings);
    }
    if disposal.dispose == Dispose::Nothing && rules.on_delete == Some(OnDelete::Dispose) {
        warnings.push(format!(
            "{}: on_delete = \"dispose\" with dispose = \"nothing\" only hides what a client deletes",
            owner
        ));
    }
    Ok((rules, disposal))
}

fn done_by(dispose: Dispose) -> &'static str {
    match dispose {
        Dispose::Expunge => "expunged",
        Dispose::Trash => "moved to the trash folder",
        Dispose::Archive => "archived",
        Dispose::Flag => "flagged",
        Dispose::Nothing => "left where they are",
    }
}

fn retention(
    check: &Check<'_>,
    table: &toml::Spanned<file::Retention>,
) -> Result<Retention, ConfigError> {
    let keys = table.get_ref();
    let mut retention = Retention::default();
    if let Some(text) = &keys.when {
        let known = [
            ("any-client-deleted", When::AnyClientDeleted),
            ("all-clients-delivered", When::AllClientsDelivered),
            ("all-clients-deleted", When::AllClientsDeleted),
            ("never", When::Never),
        ];
        retention.when = check.word(text, &known)?;
    }
    if let Some(text) = &keys.min_age {
        retention.min_age = seconds(check, text, 0)?;
        if retention.when == When::Never && retention.min_age > 0 {
            let message = "min_age has no effect without when: nothing makes a message due; add when = \"all-clients-delivered\", or leave \
                           min_age out";
            return Err(check.error(text.span(), message));
        }
    }
    if let Some(text) = &keys.max_age {
        let max_age = seconds(check, text, HOUR)?;
        if max_age < retention.min_age {
            let message = "max_age is shorter than min_age; a message cannot be too old before it is old enough";
            return Err(check.error(text.span(), message));
        }
        retention.max_age = Some(max_age);
    }
    if let Some(text) = &keys.undelivered {
        retention.dispose_undelivered = check.word(text, &[("keep", false), ("dispose", true)])?;
    }
    Ok(retention)
}

/// Says what is allowed and hardly meant, and what goes without having been read.
fn warn(owner: &str, retention: &Retention, dispose: Dispose, warnings: &mut Vec<String>) {
    let disposes = retention.when != When::Never || retention.max_age.is_some();
    if disposes && dispose == Dispose::Nothing {
        warnings.push(format!(
            "{owner}: retention says when messages are disposed of, but dispose = \"nothing\" does nothing to them"
        ));
    } else if retention.dispose_undelivered {
        warnings.push(format!(
            "{owner}: undelivered = \"dispose\": messages are disposed of although a client has not had them"
        ));
    }
}

/// A duration of days or so, in seconds.
fn seconds(check: &Check<'_>, text: &Text, least: i64) -> Result<i64, ConfigError> {
    check.parsed(text, |text| units::age(text, least..=OLDEST))
}
