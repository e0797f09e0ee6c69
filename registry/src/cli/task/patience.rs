//! A server that does not answer for a while is no reason to stop watching: its tasks go on after a restart.

use std::time::Duration;

use tokio::time::Instant;

use crate::cli::client::ClientError;

/// The pause behind the first question that was not answered; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// For so long it is asked again: restarts are over by then, and whoever stands in front of the terminal still knows why.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// The answer, however often it takes to ask for it; [`ClientError::Lost`] once that took longer than [`PATIENCE`].
pub(super) async fn insist<T>(
    mut ask: impl AsyncFnMut() -> Result<T, ClientError>,
    tell: impl Fn(&str),
) -> Result<T, ClientError> {
    let mut silence: Option<(Instant, Duration)> = None;
    loop {
        let error = match ask().await {
            Err(error) if error.is_passing() => error,
            other => {
                if silence.is_some() && other.is_ok() {
                    tell("the server answers again");
                }
                return other;
            }
        };
        let (since, pause) = silence.unwrap_or_else(|| (Instant::now(), FIRST_PAUSE));
        if silence.is_none() {
            let seconds = PATIENCE.as_secs();
            tell(&format!("{error}; asking again for {seconds} s"));
        }
        if since.elapsed() + pause > PATIENCE {
            return Err(ClientError::Lost(Box::new(error)));
        }
        tokio::time::sleep(pause).await;
        silence = Some((since, LONGEST_PAUSE.min(pause * 2)));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::cli::client::Refusal;

    fn silent() -> ClientError {
        ClientError::Silent {
            server: "http://hub.example".to_owned(),
            cause: "Connection refused".to_owned(),
        }
    }

    fn refused(status: u16) -> ClientError {
        ClientError::Refused(Refusal {
            status,
            ..Refusal::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_comes_back_is_watched_further() {
        let told = RefCell::new(Vec::new());
        let mut answers = vec![Ok(7), Err(refused(503)), Err(silent()), Err(silent())];

        let answer = insist(
            async || answers.pop().expect("it is not asked behind an answer"),
            |text| told.borrow_mut().push(text.to_owned()),
        )
        .await;

        assert_eq!(answer.unwrap(), 7);
        let told = told.into_inner();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("Connection refused") && told[0].contains("60 s"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stays_away_is_given_up_after_a_minute_of_growing_pauses() {
        let began = Instant::now();
        let mut asked = Vec::new();

        let answer: Result<(), _> = insist(
            async || {
                asked.push(began.elapsed());
                Err(silent())
            },
            |_| {},
        )
        .await;

        assert!(matches!(answer, Err(ClientError::Lost(_))));
        let last = *asked.last().unwrap();
        assert!(
            last <= PATIENCE && last + LONGEST_PAUSE > PATIENCE,
            "{last:?}"
        );
        assert!(asked.len() < 20, "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_final() {
        for status in [401, 403, 404, 500] {
            let answer: Result<(), _> = insist(async || Err(refused(status)), |_| {}).await;

            assert!(matches!(answer, Err(ClientError::Refused(_))), "{status}");
        }
    }
}
