//! A shell that a reader of the docs types into, with clients that share nothing with this machine's own.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::page::{Ids, Page};
use crate::server;
use crate::wait::SOON;

/// How long one command may take.
const LIMIT: Duration = Duration::from_mins(2);

/// What the shell says once a command has ended, before its exit code.
const ENDED: &str = "-- the command ended with ";

/// A running bash in an empty folder, which is its home too.
pub struct Shell {
    home: TempDir,
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// What stands in the page, and what it is here.
    instead: Vec<(String, String)>,
}

impl Shell {
    /// A shell that knows `wharfinger`, podman, skopeo and buildah.
    pub fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        prepare(home.path());
        let mut bash = server::bare("bash");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(home.path().join("bin")).chain(std::env::split_paths(&path));
        bash.args(["--norc", "--noprofile"])
            .current_dir(home.path())
            .env("HOME", home.path())
            .env("PATH", std::env::join_paths(path).expect("no colon in it"))
            .env("CONTAINERS_STORAGE_CONF", home.path().join("storage.conf"))
            .env("CONTAINERS_CONF", home.path().join("containers.conf"))
            .env("REGISTRY_AUTH_FILE", home.path().join("auth.json"))
            .env("BUILDAH_ISOLATION", "chroot")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut process = bash
            .spawn()
            .unwrap_or_else(|error| panic!("bash could not be started: {error}"));
        let input = process.stdin.take().expect("its input is a pipe");
        let output = process.stdout.take().expect("its output is a pipe");
        Self {
            home,
            process,
            input,
            output: BufReader::new(output).lines(),
            instead: Vec::new(),
        }
    }

    /// The folder it starts in.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// What a page calls so is called otherwise here.
    #[must_use]
    pub fn instead_of(mut self, shown: &str, here: &str) -> Self {
        self.instead.push((shown.to_owned(), here.to_owned()));
        self
    }

    /// Types a command; answers with its exit code and all that it said.
    pub async fn run(&mut self, command: &str) -> (i32, String) {
        // The exit code is put back, for a command that asks for that of the one before.
        let typed =
            format!("{command}\n{{ code=$?; echo; echo \"{ENDED}$code\"; (exit $code); }} 2>&1\n");
        let said = async {
            self.input
                .write_all(typed.as_bytes())
                .await
                .expect("bash reads");
            let mut said = String::new();
            loop {
                let line = self.output.next_line().await.expect("bash writes text");
                let line = line.unwrap_or_else(|| panic!("bash ended at `{command}`: {said}"));
                if let Some(code) = line.strip_prefix(ENDED) {
                    break (code.parse().expect("an exit code"), said);
                }
                said.push_str(&line);
                said.push('\n');
            }
        };
        tokio::time::timeout(LIMIT, said)
            .await
            .unwrap_or_else(|_| panic!("`{command}` did not end within {LIMIT:?}"))
    }

    /// Types a command. One that shows tasks is typed again until it shows what is expected, as a person would who sees that a task
    /// runs still: whoever pushes is answered a moment before the task ends.
    async fn run_until_said(
        &mut self,
        command: &str,
        ids: &Ids,
        expected: &[String],
    ) -> (i32, String) {
        let shows_tasks = ["list", "show", "graph", "explain"]
            .iter()
            .any(|verb| command.starts_with(&format!("wharfinger task {verb}")));
        let begun = Instant::now();
        loop {
            let (code, said) = self.run(command).await;
            let is_said = ids.clone().missing(expected, &said).is_none();
            if is_said || !shows_tasks || begun.elapsed() > SOON {
                return (code, said);
            }
        }
    }

    /// Types every command of a page. Each must answer what the page shows of its answer, and end well unless the page
    /// asks for its exit code next. Answers with how many there were.
    pub async fn follow(&mut self, page: &Page) -> usize {
        let commands = page.commands();
        let mut ids = Ids::default();
        self.run("exec 2>&1").await;
        for (n, shown) in commands.iter().enumerate() {
            let here = |text: &str| {
                let instead = self.instead.iter();
                instead.fold(text.to_owned(), |text, (shown, here)| {
                    text.replace(shown, here)
                })
            };
            let command = ids.put_into(&here(&shown.command));
            let expected: Vec<_> = shown.answer.iter().map(|line| here(line)).collect();

            let (code, said) = self.run_until_said(&command, &ids, &expected).await;

            let place = &shown.place;
            println!("$ {command}\n{said}");
            let asked_for = commands
                .get(n + 1)
                .is_some_and(|next| next.command == "echo $?");
            assert!(
                code == 0 || asked_for,
                "{place}: `{command}` ended with {code}: {said}"
            );
            if let Some(missing) = ids.missing(&expected, &said) {
                panic!("{place}: `{command}` did not say `{missing}`, but: {said}");
            }
        }
        commands.len()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // What it has left in the background too.
        if let Some(group) = self.process.id() {
            let _ = std::process::Command::new("kill")
                .args(["-KILL", "--", &format!("-{group}")])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// Settings that keep the clients in this folder, and `wharfinger` on the search path.
fn prepare(home: &Path) {
    let place = |name: &str| home.join(name).display().to_string();
    let storage = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
        place("store"),
        place("run")
    );
    let containers = format!(
        "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\ntmp_dir = \"{}\"\n",
        place("tmp")
    );
    for (name, text) in [
        ("storage.conf", &storage[..]),
        ("containers.conf", &containers),
        ("auth.json", "{}"),
    ] {
        fs::write(home.join(name), text).expect("a file of ours");
    }
    fs::create_dir(home.join("bin")).expect("a folder of ours");
    std::os::unix::fs::symlink(
        fs::canonicalize(server::binary()).expect("the program is there"),
        home.join("bin/wharfinger"),
    )
    .expect("a link of ours");
}
