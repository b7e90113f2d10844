//! The chart: what Helm says of it and makes of it, what Kubernetes would say to that, and what
//! only a look at all of it together can tell.

mod cross;
mod suites;
mod values;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::Value;

use crate::http::check_page;
use crate::needed;

/// Names Helm.
const HELM: &str = "POSTROOM_HELM";
/// Names the program of the `kubernetes-validate` package.
const KUBERNETES_VALIDATE: &str = "POSTROOM_KUBERNETES_VALIDATE";
/// The oldest and the newest Kubernetes that what is made must fit.
const KUBERNETES: [&str; 2] = ["1.27.0", "1.36.0"];
/// Groups whose kinds come from elsewhere; Kubernetes has no schema of them.
const FOREIGN: [&str; 2] = ["monitoring.coreos.com/", "gateway.networking.k8s.io/"];
const RELEASE: &str = "desk";
const NAMESPACE: &str = "helpdesk";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The values files, by what they are named after.
fn cases() -> Vec<(String, PathBuf)> {
    let folder = std::fs::read_dir(root().join("charts/postroom/ci")).unwrap();
    let mut cases: Vec<(String, PathBuf)> = folder
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            (name.strip_suffix("-values.yaml").expect("its name").to_owned(), path.clone())
        })
        .collect();
    cases.sort();
    assert!(cases.len() >= 10, "{}", cases.len());
    cases
}

/// The program that a variable names; `None` and a word about it if it names none.
fn program(variable: &str) -> Option<String> {
    let program = std::env::var(variable).ok();
    needed::found(program, &format!("{variable} names no program"))
}

fn helm(program: &str, arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut helm = Command::new(program);
    helm.args(arguments).current_dir(root().join("charts"));
    // Nothing of whoever runs this counts.
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        helm.env(variable, home.path());
    }
    helm.output().unwrap()
}

fn render(program: &str, values: &[&str]) -> Result<String, String> {
    let whole = ["template", RELEASE, "postroom", "--namespace", NAMESPACE];
    let output = helm(program, &[&whole, values].concat());
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn golden(name: &str) -> String {
    format!("tests/golden/chart/{name}.yaml")
}

/// The documents of a render.
fn documents(text: &str) -> Vec<Value> {
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let document = Value::deserialize(document).unwrap_or_else(|error| panic!("{error}"));
        if !document.is_null() {
            documents.push(document);
        }
    }
    documents
}

fn is_foreign(document: &Value) -> bool {
    FOREIGN.iter().any(|group| document["apiVersion"].as_str().unwrap().starts_with(group))
}

#[test]
fn helm_finds_nothing_wrong() {
    let Some(program) = program(HELM) else { return };
    for (name, path) in cases() {
        let path = path.display().to_string();
        let output = helm(&program, &["lint", "--strict", "postroom", "--values", &path]);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{name}: {said}");
        assert!(!said.contains("[WARNING]") && !said.contains("[ERROR]"), "{name}: {said}");
    }
}

#[test]
fn what_helm_makes_is_as_it_was() {
    let Some(program) = program(HELM) else { return };
    for (name, path) in cases() {
        let rendered = render(&program, &["--values", &path.display().to_string()]).unwrap();
        check_page(&golden(&name), &rendered);
    }
}

#[test]
fn no_render_without_its_values() {
    let renders = std::fs::read_dir(root().join("tests/golden/chart")).unwrap();
    let renders: BTreeSet<String> =
        renders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let expected = cases().into_iter().map(|(name, _)| format!("{name}.yaml"));
    assert_eq!(renders, expected.collect());
}

#[test]
fn kubernetes_takes_it() {
    let Some(program) = program(KUBERNETES_VALIDATE) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (name, _) in cases() {
        let rendered = std::fs::read_to_string(root().join(golden(&name))).unwrap();
        for (number, document) in documents(&rendered).iter().enumerate() {
            if !is_foreign(document) {
                let file = folder.path().join(format!("{name}-{number}.yaml"));
                std::fs::write(&file, serde_yaml::to_string(document).unwrap()).unwrap();
                files.push(file);
            }
        }
    }
    assert!(files.len() > 50, "{}", files.len());
    let wrong = folder.path().join("wrong.yaml");
    std::fs::write(
        &wrong,
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {portz: []}\n",
    )
    .unwrap();
    for version in KUBERNETES {
        let validate = |files: &[PathBuf]| {
            let mut command = Command::new(&program);
            let output = command.args(["--strict", "-k", version]).args(files).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&said).into_owned())
        };
        let (taken, said) = validate(&files);
        assert!(taken, "Kubernetes {version}: {said}");
        let (taken, said) = validate(std::slice::from_ref(&wrong));
        assert!(!taken && said.contains("portz"), "it would have told: {said}");
    }
}

/// Values that Helm must refuse, and a word of its answer.
const REFUSED: &[(&str, &str)] = &[
    ("service.port=8080", "there is no configuration"),
    ("config.inlin.a=b", "additional properties 'inlin' not allowed"),
    ("replicas=2", "additional properties 'replicas' not allowed"),
    ("http.port=80,config.existingConfigMaps={a}", "/http/port"),
    ("persistence.size=lots,config.existingConfigMaps={a}", "/persistence/size"),
    ("config.existingConfigMaps={Not_A_Name}", "/config/existingConfigMaps/0"),
    ("onInvalid=ignore,config.existingConfigMaps={a}", "/onInvalid"),
    ("config.git.enabled=true", "needs config.git.repository"),
    ("ingress.enabled=true,config.existingConfigMaps={a}", "needs ingress.host"),
    ("httpRoute.enabled=true,config.existingConfigMaps={a}", "needs httpRoute.parentRefs"),
    (
        "serviceMonitor.enabled=true,podMonitor.enabled=true,config.existingConfigMaps={a}",
        "enable one of them",
    ),
    ("podSecurityContext.runAsNonRoot=false,config.existingConfigMaps={a}", "runAsNonRoot"),
    (
        "extraVolumeMounts[0].name=a,extraVolumeMounts[0].mountPath=/a,\
         extraVolumeMounts[0].subPath=b,config.existingConfigMaps={a}",
        "subPath",
    ),
];

#[test]
fn values_that_make_no_sense_are_refused() {
    let Some(program) = program(HELM) else { return };
    for (set, expected) in REFUSED {
        let said = render(&program, &["--set", set]).expect_err(set);
        assert!(said.contains(expected), "{set}: {said}");
    }
    assert!(render(&program, &["--set", "config.existingConfigMaps={a}"]).is_ok());
}

#[test]
fn a_release_is_named_once() {
    let Some(program) = program(HELM) else { return };
    let more = ["--set", "config.existingConfigMaps={a},nameOverride=des"];
    let rendered = render(&program, &more).unwrap();
    let service = documents(&rendered).into_iter().find(|it| it["kind"] == "Service").unwrap();
    assert_eq!(service["metadata"]["name"], "desk");
}
