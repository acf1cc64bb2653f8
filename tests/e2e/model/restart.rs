//! A bridge ends and comes back in the middle of it all, with something under way at some clients.

use super::story::{CLIENTS, Outcome, Story};
use super::talk::{InAir, Reply, token_of};

impl Story<'_> {
    /// A bridge is about to be restarted: some clients have something under way then.
    pub fn before_restart(&mut self) {
        for (client, name) in CLIENTS.iter().enumerate().take(self.readers.len()) {
            let chance = self.dice.below(4);
            let Some(talk) = &mut self.readers[client].talk else {
                continue;
            };
            let (line, in_air) = match chance {
                0 => ("QUIT\r\n", InAir::Quit),
                1 if talk.list.as_ref().is_some_and(|list| !list.is_empty()) => {
                    ("RETR 1\r\n", InAir::Other)
                }
                _ => continue,
            };
            if in_air == InAir::Quit {
                self.begin_quit(client);
            }
            if let Some(talk) = &mut self.readers[client].talk {
                talk.in_air = Some(in_air);
                talk.pop3.try_send(line);
            }
            self.note(format!("  {name:?} {} ...", line.trim()));
        }
    }

    /// A bridge was restarted.
    pub fn after_restart(&mut self, instance: usize) -> Outcome {
        self.note(format!("bridge {instance} was restarted"));
        for (client, name) in CLIENTS.iter().enumerate().take(self.readers.len()) {
            let Some(talk) = &mut self.readers[client].talk else {
                // Its last session may have been under way.
                self.readers[client].lingers = true;
                continue;
            };
            let (dead, in_air) = (talk.instance == instance, talk.in_air.take());
            match in_air {
                Some(InAir::Quit) => {
                    let (deleted, had) = (talk.deleted_tokens(), talk.had.clone());
                    let reply = talk.status("QUIT")?;
                    self.note(format!("  {name:?} ... {reply:?}"));
                    let mut inner = self.world.lock();
                    inner.fired += u32::from(dead);
                    drop(inner);
                    self.end_quit(client, &deleted, &had, reply)?;
                }
                // It counts as had if this session says QUIT later on.
                Some(InAir::Other) if !dead => {
                    if let Reply::Ok(text) = talk.text("RETR")? {
                        talk.had.extend(token_of(&text));
                    }
                }
                _ => {}
            }
            if dead {
                self.drop_talk(client);
            }
        }
        Ok(())
    }
}
