//! What only this driver can do: a connection over a channel of another one, halves in tasks.

mod common;

use common::{connect, noise, options, server, within};
use ssh_tokio::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_connection_runs_over_a_channel_of_another_one() {
    within(20, async {
        let (_outer, jump) = server().await;
        let (_inner, target) = server().await;
        let jump = connect(jump).await;
        let channel = jump
            .open_direct_tcpip("127.0.0.1", target.port())
            .await
            .unwrap();
        let client = Client::connect(channel, options()).await.unwrap();
        let input = noise(2, 1 << 20);
        let output = client.exec_with_input("echo", &input).await.unwrap();
        assert!(output.stdout == input);
    })
    .await;
}

#[tokio::test]
async fn halves_live_in_different_tasks() {
    within(20, async {
        let (_server, address) = server().await;
        let client = connect(address).await;
        let channel = client.open_session().await.unwrap();
        channel.exec("echo").await.unwrap();
        let (mut reader, mut writer) = channel.into_split();
        let input = noise(3, 4 << 20);
        let sent = input.clone();
        let task = tokio::spawn(async move {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        let mut back = Vec::new();
        reader.read_to_end(&mut back).await.unwrap();
        task.await.unwrap();
        assert!(back == input);
    })
    .await;
}

/// What people move into tasks may be moved there: checked by the compiler.
#[tokio::test]
async fn what_tasks_own_is_send_and_static() {
    fn owned<T: Send + 'static>(value: T) -> T {
        value
    }
    fn sent<T: Send>(future: T) -> T {
        future
    }
    within(20, async {
        let (running, address) = server().await;
        let running = owned(running);
        let client = owned(
            sent(Client::connect_tcp(address, owned(options())))
                .await
                .unwrap(),
        );
        let channel = owned(sent(client.open_session()).await.unwrap());
        sent(channel.exec("greet 0")).await.unwrap();
        let errors = owned(channel.stderr());
        let (reader, writer) = channel.into_split();
        drop((owned(reader), owned(writer), errors));
        sent(client.rekey()).await.unwrap();
        sent(client.disconnect()).await;
        drop(running);
    })
    .await;
}
