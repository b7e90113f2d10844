//! The chart's own suites (`charts/postroom/tests`), by helm-unittest: that they pass, that they
//! notice a chart that is broken, and that they are not part of what is installed.

use std::path::Path;
use std::process::Command;

use super::{HELM, helm, program, root};

/// Names the program of helm-unittest.
const UNITTEST: &str = "POSTROOM_HELM_UNITTEST";

/// A file of the chart, what stands in it, and what a careless edit would put there.
const BROKEN: &[(&str, &str, &str)] = &[
    ("templates/statefulset.yaml", "replicas: 1", "replicas: 2"),
    ("templates/statefulset.yaml", "path: /-/ready", "path: /-/healthy"),
    ("templates/statefulset.yaml", "whenDeleted: Retain", "whenDeleted: Delete"),
    (
        "templates/statefulset.yaml",
        "{{- with .Values.podAnnotations }}",
        "annotations: {checksum/config: {{ toJson .Values.config | sha256sum }}}\n      {{- with .Values.podAnnotations }}",
    ),
    (
        "templates/_helpers.tpl",
        "mountPath: /etc/postroom/maps/{{ $name }},",
        "mountPath: /etc/postroom/maps/{{ $name }}, subPath: a,",
    ),
    ("templates/_helpers.tpl", "{{- if .digest -}}", "{{- if false -}}"),
    ("templates/_helpers.tpl", "{{- if .Values.externalUrl -}}", "{{- if false -}}"),
    ("templates/_helpers.tpl", "{{- if .once }}", "{{- if true }}"),
    ("templates/_helpers.tpl", "defaultMode: 288\n    sources", "defaultMode: 420\n    sources"),
    ("templates/check.yaml", "hook-weight: \"-10\"", "hook-weight: \"0\""),
    ("templates/check.yaml", "backoffLimit: 0", "backoffLimit: 6"),
    ("templates/tests/status.yaml", "- --wait", "- --ready"),
    ("templates/networkpolicy.yaml", "component: test", "component: check"),
    ("templates/networkpolicy.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: [Ingress]"),
    ("templates/servicemonitor.yaml", "path: /metrics", "path: /"),
    ("templates/ingress.yaml", "secretName:", "secret:"),
    ("templates/ingress.yaml", "pathType: Exact", "pathType: Prefix"),
    ("templates/ingress.yaml", "{{- if .Values.ingress.exposeOperations }}", "{{- if true }}"),
    ("templates/httproute.yaml", "{{- if .Values.httpRoute.exposeOperations }}", "{{- if true }}"),
    ("templates/httproute.yaml", "\"Exact\"", "\"PathPrefix\""),
    ("values.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"),
    ("values.yaml", "maxUnavailable: 1", "maxUnavailable: 0"),
];

/// Whether all suites pass for the chart with this edit, and what was said. A copy is looked at:
/// helm-unittest leaves a directory behind.
fn pass(program: &str, edit: impl FnOnce(&Path)) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("postroom");
    copy(&root().join("charts/postroom"), &chart);
    edit(&chart);
    let output = Command::new(program).arg("--strict").arg(&chart).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, fresh) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &fresh),
            false => drop(std::fs::copy(&path, fresh).unwrap()),
        }
    }
}

#[test]
fn they_pass() {
    let Some(program) = program(UNITTEST) else { return };
    let (passed, said) = pass(&program, |_| {});
    assert!(passed, "{said}");
    let written = std::fs::read_dir(root().join("charts/postroom/tests")).unwrap().count();
    let expected = format!("Test Suites: {written} passed, {written} total");
    assert!(said.contains(&expected), "not every suite was found: {said}");
}

#[test]
fn they_notice_a_broken_chart() {
    let Some(program) = program(UNITTEST) else { return };
    for (file, from, to) in BROKEN {
        let (passed, said) = pass(&program, |chart| {
            let text = std::fs::read_to_string(chart.join(file)).unwrap();
            assert!(text.contains(from), "{file} has no {from:?}");
            std::fs::write(chart.join(file), text.replace(from, to)).unwrap();
        });
        assert!(!passed, "{file} with {to:?} passes: {said}");
    }
}

#[test]
fn they_are_not_installed() {
    let Some(program) = program(HELM) else { return };
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().display().to_string();
    let output = helm(&program, &["package", "postroom", "--destination", &to]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let package = format!("postroom-{}.tgz", env!("CARGO_PKG_VERSION"));
    let list = Command::new("tar").arg("-tzf").arg(folder.path().join(package)).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    // What `helm test` runs lies in a directory of the same name, and must be there.
    assert!(list.contains("postroom/templates/tests/status.yaml"), "{list}");
    assert!(!list.contains("postroom/tests/") && !list.contains("postroom/ci/"), "{list}");
}
