//! Files over SFTP with a client of another project: through OpenSSH's sshd, and through our server
//! with OpenSSH's sftp-server behind it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use russh_sftp::client::SftpSession;
use ssh_keys::known_hosts::KnownHosts;
use ssh_keys::{SigningKey, load_private};
use ssh_proto::config::Methods;
use ssh_testkit::harness::{self, peer_test};
use ssh_testkit::peers::{self, Missing, Sshd, TempDir};
use ssh_testkit::rng::SeededRandom;
use ssh_tokio::{
    Client, ConnectOptions, FixedUsers, Handler, HostKeys, Login, Required, Server, ServerOptions,
    Start, Trust,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::process::Command;

fn main() -> ExitCode {
    harness::run(tests()).exit_code()
}

fn tests() -> Vec<Trial> {
    vec![
        peer_test("files_go_through_sshd", Sshd::find, |sshd| {
            let server = sshd.start(&peers::ServerOptions::default())?;
            let dir = TempDir::new()?;
            run(async {
                let client = Client::connect_tcp(server.address(), to(&server)).await?;
                files(&client, dir.path()).await
            })
        }),
        peer_test("output_comes_from_sshd", Sshd::find, |sshd| {
            let server = sshd.start(&peers::ServerOptions::default())?;
            run(async {
                let client = Client::connect_tcp(server.address(), to(&server)).await?;
                let input = noise(1 << 20);
                let output = client.exec_with_input("cat; exit 7", &input).await?;
                same("output", output.stdout == input, true)?;
                same("exit", output.exit.code(), Some(7))?;
                client.rekey().await?;
                let output = client.exec("echo again").await?;
                same("output after new keys", &*output.stdout, b"again\n")?;
                client.disconnect().await;
                Ok(())
            })
        }),
        peer_test(
            "files_go_through_our_server_with_sftp_server_behind_it",
            sftp_server,
            |program| {
                let dir = TempDir::new()?;
                run(async {
                    let (_server, address) = serve(Files { program }).await?;
                    let client = Client::connect_tcp(address, to_ours()).await?;
                    files(&client, dir.path()).await
                })
            },
        ),
    ]
}

/// No test takes longer.
fn run(test: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await? })
}

/// Writes, lists, reads and removes files in `dir`.
async fn files(client: &Client, dir: &Path) -> Result<(), Failed> {
    let channel = client.subsystem("sftp").await?;
    channel.ignore_stderr();
    let sftp = SftpSession::new(channel).await?;
    let data = noise(4 << 20);
    let path = dir.join("file");
    let name = path.to_str().ok_or("a path that is no text")?;

    let mut file = sftp.create(name).await?;
    file.write_all(&data).await?;
    file.shutdown().await?;
    same("file", std::fs::read(&path)? == data, true)?;
    same("size", sftp.metadata(name).await?.size, Some(4 << 20))?;

    let dir = dir.to_str().ok_or("a path that is no text")?;
    let listed: Vec<_> = sftp.read_dir(dir).await?.map(|e| e.file_name()).collect();
    same("listed", listed.iter().any(|name| name == "file"), true)?;

    let mut back = Vec::new();
    sftp.open(name).await?.read_to_end(&mut back).await?;
    same("read back", back == data, true)?;

    sftp.remove_file(name).await?;
    same("removed", path.exists(), false)?;
    sftp.close().await?;
    Ok(())
}

/// OpenSSH's sftp-server, where distributions put it.
fn sftp_server() -> Result<PathBuf, Missing> {
    [
        "/usr/lib/openssh/sftp-server",
        "/usr/libexec/openssh/sftp-server",
        "/usr/lib/ssh/sftp-server",
        "/usr/libexec/sftp-server",
    ]
    .into_iter()
    .map(PathBuf::from)
    .find(|path| path.exists())
    .ok_or_else(|| Missing::new("OpenSSH", "no sftp-server"))
}

/// A server of files.
struct Files {
    program: PathBuf,
}

impl Handler for Files {
    async fn subsystem(&self, request: Start, name: Vec<u8>) {
        if name == b"sftp" {
            // The client sees what it gets.
            let _ = join_program(request, Command::new(&self.program)).await;
        }
    }
}

/// A program whose standard input and output are a channel.
async fn join_program(request: Start, mut command: Command) -> io::Result<()> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn()?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let (mut reader, mut writer) = request.accept()?.into_split();
    // The end of the input closes the pipe. A client that is gone is an end too.
    let feed = async move {
        let mut stdin = stdin;
        let _ = copy(&mut reader, &mut stdin).await;
    };
    let drain = async {
        let mut stdout = stdout;
        copy(&mut stdout, &mut writer).await
    };
    // Also where the program closes its output first: then nobody waits for the client.
    tokio::select! {
        drained = drain => drained?,
        // What was asked before the end of the input is still answered.
        never = async { feed.await; std::future::pending().await } => never,
    };
    let code = child.wait().await?.code().unwrap_or(255);
    writer.exit(code.cast_unsigned()).await?;
    Ok(())
}

/// What sshd of the harness wants.
fn to(server: &peers::Server) -> ConnectOptions {
    let file = std::fs::read(server.client_key().private_path()).expect("its file");
    let key = load_private(&file, None).expect("a key of ssh-keygen");
    let address = server.address();
    let mut known = String::new();
    for key in server.host_keys() {
        known += &format!(
            "[{}]:{} {}\n",
            address.ip(),
            address.port(),
            key.public_line()
        );
    }
    let known = KnownHosts::parse(known.as_bytes());
    let trust = Trust::known_hosts(known, &address.ip().to_string(), address.port());
    ConnectOptions::new(Login::new(server.user(), trust).key(key.private))
}

fn host_key() -> SigningKey {
    SigningKey::ed25519(&[7; 32])
}

async fn serve(files: Files) -> Result<(Server<Files>, SocketAddr), Failed> {
    let keys = HostKeys::new([host_key()])?;
    let options = ServerOptions::new(keys, |_| {
        FixedUsers::new().with_password("alice", String::from("secret"))
    })
    .required(Required::AnyOf(Methods::PASSWORD));
    Ok(Server::bind("127.0.0.1:0", options, files).await?)
}

fn to_ours() -> ConnectOptions {
    let trust = Trust::pinned([host_key().public_key().fingerprint()]);
    ConnectOptions::new(Login::new("alice", trust).password(String::from("secret")))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should: T) -> Result<(), Failed> {
    if is == should {
        return Ok(());
    }
    Err(format!("{what}: {is:?} and not {should:?}").into())
}

fn noise(n: usize) -> Vec<u8> {
    let mut noise = vec![0; n];
    SeededRandom::new(1).fill(&mut noise);
    noise
}
