//! The label values that a metric can have: one enum for each kind, so that nothing else can become one.

/// A label with a fixed set of values.
pub(super) trait Label: Copy + 'static {
    /// Every value.
    const ALL: &'static [Self];
    /// As it is written in the metric.
    fn as_str(self) -> &'static str;
}

/// An enum whose variants are the values of a label.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

label! {
    /// How a POP3 connection is encrypted.
    SessionTls {
        /// It is not (yet).
        None = "none",
        /// By STLS.
        StartTls = "starttls",
        /// From the first byte.
        Implicit = "implicit",
    }
}

label! {
    /// Where a POP3 session stands (RFC 1939, 3).
    SessionState {
        /// Before log-in.
        Authorization = "authorization",
        /// Logged in.
        Transaction = "transaction",
        /// What its QUIT says is being carried out.
        Update = "update",
    }
}

label! {
    /// How a POP3 command was answered.
    CommandOutcome {
        /// `+OK` or a continuation.
        Ok = "ok",
        /// `-ERR`.
        Err = "err",
    }
}

label! {
    /// What became of a log-in by a POP3 client.
    LoginOutcome {
        /// The client is in.
        Ok = "ok",
        /// The upstream does not accept user and password.
        Rejected = "rejected",
        /// The upstream could not be asked or was in trouble.
        Unavailable = "unavailable",
        /// No upstream is configured for the name.
        NoUpstream = "no_upstream",
        /// Another session of the client has its maildrop.
        InUse = "in_use",
        /// It was not looked at, because too many were wrong before.
        TooSoon = "too_soon",
    }
}

label! {
    /// Why a POP3 connection was refused before it was greeted.
    Refused {
        /// There are as many connections as are allowed.
        Full = "full",
        /// There are as many from its source as are allowed.
        SourceFull = "source_full",
        /// The bridge has as much memory as it may have.
        Memory = "memory",
        /// It did not begin with a PROXY header as it has to here, or comes from where none is believed.
        Proxy = "proxy",
        /// PROXY header or TLS handshake took too long.
        Deadline = "deadline",
    }
}

label! {
    /// What a POP3 client sent that no command allows. (An unknown command is a command: `popbridge_commands_total`.)
    BadInput {
        /// A line beyond the limit.
        LineTooLong = "line_too_long",
        /// Something in clear behind STLS.
        BehindStls = "behind_stls",
        /// A TLS handshake that failed.
        TlsHandshake = "tls_handshake",
    }
}

label! {
    /// Which way bytes went, as the bridge sees it.
    Direction {
        /// To the bridge.
        Received = "received",
        /// From the bridge.
        Sent = "sent",
    }
}

label! {
    /// What became of an attempt to connect to an upstream.
    ConnectOutcome {
        /// Connected, encrypted as demanded and greeted.
        Ok = "ok",
        /// No address, or no answer at TCP level.
        Unreachable = "unreachable",
        /// Not ready within the time-out.
        TimedOut = "timed_out",
        /// The certificate is not trusted, or no common TLS version.
        Tls = "tls",
        /// The upstream answered something else than a greeting that lets the bridge go on.
        Refused = "refused",
    }
}

label! {
    /// How an IMAP command ended.
    UpstreamOutcome {
        /// Tagged OK.
        Ok = "ok",
        /// Tagged NO.
        No = "no",
        /// Tagged BAD.
        Bad = "bad",
        /// No tagged answer: the connection broke, said BYE or timed out.
        Lost = "lost",
    }
}

label! {
    /// Why an upstream is left alone.
    BackOffCause {
        /// It has said for how long.
        Suggested = "suggested",
        /// It is asked too often.
        Throttled = "throttled",
        /// It has given as much as it does in a day.
        OverQuota = "over_quota",
        /// It has too many connections.
        Crowded = "crowded",
        /// It lets nobody in.
        Unavailable = "unavailable",
    }
}

label! {
    /// What it took to have the list of a folder.
    IndexLookup {
        /// Nothing had changed.
        Hit = "hit",
        /// Only what is new was listed.
        Delta = "delta",
        /// The known list did not add up: everything was listed again.
        Relist = "relist",
        /// The folder was not known.
        Cold = "cold",
    }
}

label! {
    /// Where a message was that a client asked for.
    BodyLookup {
        /// In memory.
        Hit = "hit",
        /// On its way already.
        Awaited = "awaited",
        /// It was fetched into memory.
        Fetched = "fetched",
        /// It was streamed from the upstream: too long for memory, or a part that is not kept.
        Streamed = "streamed",
    }
}

label! {
    /// What became of a message that was to be disposed of or flagged upstream.
    DisposalOutcome {
        /// The upstream has confirmed it.
        Done = "done",
        /// It failed and is tried again.
        Failed = "failed",
        /// Another message has the UID by now: it was not touched.
        Cancelled = "cancelled",
    }
}

label! {
    /// What became of a refresh of an account's tokens.
    TokenRefresh {
        /// There are new ones, and they are kept.
        Ok = "ok",
        /// The authorization server gave none; it is asked again.
        Failed = "failed",
        /// It does not accept what is configured.
        Misconfigured = "misconfigured",
        /// A person has to log in.
        Revoked = "revoked",
        /// Others were there meanwhile.
        Superseded = "superseded",
        /// The store was in trouble.
        NotKept = "not_kept",
    }
}

label! {
    /// What was asked of the store.
    StoreOperation {
        /// A few rows.
        Read = "read",
        /// All that there is of something at one moment, such as the register of a folder.
        Snapshot = "snapshot",
        /// A change, as long as its caller waits.
        Write = "write",
        /// What the database needs of that; on SQLite several changes share one.
        Commit = "commit",
    }
}

label! {
    /// What was waited for because an upstream allows no more of it.
    Awaited {
        /// A connection.
        Connection = "connection",
        /// The turn to log in.
        Login = "login",
        /// One of the mailbox's connections, all of which were in use.
        Turn = "turn",
    }
}

label! {
    /// How such a wait ended.
    WaitOutcome {
        /// What was waited for was had.
        Had = "had",
        /// It took too long, and the client was told to try again later.
        Refused = "refused",
    }
}
