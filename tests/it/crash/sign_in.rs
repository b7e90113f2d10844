//! The program dies while it refreshes the sign-in of a person. At a provider that takes the old
//! refresh token away, only a death between the answer and the commit loses the sign-in; no mail is
//! lost by that, and none is doubled.

use serde_json::Value;

use super::cloud::Cloud;
use super::{Desk, Mail, Running, each_has_one_ticket, until};

/// What a person is asked to run.
const COMMAND: &str = "run `postroom oauth login m --account box`";

/// A desk that reads as a person who has signed in.
struct Scene {
    desk: Desk,
    cloud: Cloud,
    mails: Vec<Mail>,
}

impl Scene {
    fn new(rotates: bool) -> Scene {
        let cloud = Cloud::of_a_person(rotates);
        let desk = Desk::new(&cloud.accounts());
        let scene = Scene { desk, cloud, mails: Vec::new() };
        let running = scene.desk.start(None);
        scene.sign_in();
        running.terminate();
        scene
    }

    /// Signs in at the program that listens now, as the browser and the command do.
    fn sign_in(&self) {
        let post = |path: &str, body: &str| {
            let (status, answer) = self.desk.ask("POST", path, body);
            assert_eq!(status, 200, "{answer}");
            answer
        };
        let begin = r#"{"profile": "m", "account": "box", "redirect": "http://localhost:1/oauth2/callback"}"#;
        let begun = post("/api/v1/oauth/logins", begin);
        let begun: Value = serde_json::from_str(&begun).unwrap();
        let (_, state) = begun["url"].as_str().unwrap().split_once("&state=").unwrap();
        let state = state.split('&').next().unwrap();
        post("/api/v1/oauth/codes", &format!(r#"{{"state": "{state}", "code": "a-code"}}"#));
    }

    fn deliver(&mut self) {
        let mail = Mail::new(self.mails.len(), 700);
        self.cloud.deliver(&mail);
        self.mails.push(mail);
    }

    fn until_it_dies(&self, mut running: Running, fault: &str) {
        until(&format!("the death at {fault}"), || (!running.is_alive()).then_some(()));
    }

    fn until_it_rests(&self) {
        until("an empty mailbox and all answers", || {
            let rests = self.cloud.lying() == 0 && self.desk.answer_count() == self.mails.len();
            (rests && self.desk.owes_nothing()).then_some(())
        });
    }
}

/// Dies at this point; then either goes on by itself, or says what to run, and goes on then.
fn dies_at(fault: &str, rotates: bool, sign_in_is_lost: bool) {
    let mut scene = Scene::new(rotates);
    scene.deliver();
    let running = scene.desk.start(Some(fault));
    scene.until_it_dies(running, fault);
    scene.deliver();
    let said = scene.desk.said(COMMAND);
    let running = scene.desk.start(None);
    if sign_in_is_lost {
        until("the command to run", || (scene.desk.said(COMMAND) > said).then_some(()));
        assert!(scene.cloud.lying() > 0, "{fault}: what came meanwhile stays on the server");
        scene.sign_in();
    }
    scene.until_it_rests();
    assert_eq!(scene.desk.said(COMMAND) > said, sign_in_is_lost, "{fault}");
    running.terminate();
    each_has_one_ticket(&scene.desk, &scene.mails);
    scene.cloud.check(scene.mails.len());
    let codes = scene.cloud.issuer.asked().iter().filter(|it| *it == "authorization_code").count();
    assert_eq!(codes, 1 + usize::from(sign_in_is_lost), "{fault}");
}

#[test]
fn before_the_provider_is_asked() {
    dies_at("oauth.before_asking", true, false);
    dies_at("oauth.before_asking:2", true, false);
}

#[test]
fn between_the_answer_and_the_commit() {
    dies_at("oauth.answered", true, true);
    dies_at("oauth.answered:2", true, true);
}

#[test]
fn between_the_answer_and_the_commit_at_a_provider_that_does_not_rotate() {
    dies_at("oauth.answered", false, false);
}

#[test]
fn after_the_commit_and_before_the_token_is_used() {
    dies_at("oauth.committed", true, false);
    dies_at("oauth.committed:2", true, false);
}
