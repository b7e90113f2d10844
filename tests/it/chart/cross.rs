//! What no schema tells: selectors that select, ports and mounts that exist, references that lead
//! somewhere, and what a restricted cluster lets in.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::{NAMESPACE, RELEASE, cases, documents, golden, root};
use postroom::config::{self, Severity};
use postroom::http::routes;

/// Names that must lead to something of the release, and may also be given in the values.
const GIVEN: [&str; 12] = [
    "desk-config",
    "desk-people",
    "desk-mail",
    "desk-smtp",
    "desk-git",
    "desk-token",
    "desk-tls",
    "desk-oauth",
    "desk-data",
    "company-roots",
    "registry",
    "desk",
];
/// Bytes that the name of a Service or a label may have.
const LABEL_MAX: usize = 63;

/// One render.
struct Render {
    name: String,
    documents: Vec<Value>,
}

impl Render {
    fn all() -> Vec<Render> {
        let read = |(name, _): (String, _)| {
            let text = std::fs::read_to_string(root().join(golden(&name))).unwrap();
            Render { documents: documents(&text), name }
        };
        cases().into_iter().map(read).collect()
    }

    fn of(&self, kind: &str) -> Option<&Value> {
        self.documents.iter().find(|document| document["kind"] == kind)
    }

    /// The pods it makes: what they are, their metadata, their spec.
    fn pods(&self) -> Vec<(&str, &Value, &Value)> {
        self.documents
            .iter()
            .filter_map(|document| match document["kind"].as_str().unwrap() {
                "StatefulSet" => {
                    let template = &document["spec"]["template"];
                    Some(("daemon", &template["metadata"], &template["spec"]))
                }
                "Job" => {
                    let template = &document["spec"]["template"];
                    Some(("check", &template["metadata"], &template["spec"]))
                }
                "Pod" => Some(("test", &document["metadata"], &document["spec"])),
                _ => None,
            })
            .collect()
    }

    fn daemon(&self) -> (&Value, &Value) {
        let pods = self.pods();
        let (_, metadata, spec) = pods.into_iter().find(|(what, ..)| *what == "daemon").unwrap();
        (metadata, spec)
    }

    fn has(&self, kind: &str, name: &str) -> bool {
        self.documents.iter().any(|it| it["kind"] == kind && it["metadata"]["name"] == name)
    }
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    items(spec, "initContainers").chain(items(spec, "containers"))
}

fn labels(value: &Value) -> BTreeMap<&str, &str> {
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(key, value)| (key.as_str(), value.as_str().unwrap())).collect()
}

/// Whether these labels have everything a selector wants; an empty selector selects nothing here.
fn selects(selector: &Value, labelled: &Value) -> bool {
    let (wanted, has) = (labels(selector), labels(labelled));
    !wanted.is_empty() && wanted.iter().all(|(key, value)| has.get(key) == Some(value))
}

#[test]
fn every_object_has_one_name_and_one_place() {
    for render in Render::all() {
        let mut seen = BTreeSet::new();
        for document in &render.documents {
            let (kind, metadata) = (document["kind"].as_str().unwrap(), &document["metadata"]);
            let name = metadata["name"].as_str().unwrap();
            let here = format!("{}: {kind} {name}", render.name);
            assert!(seen.insert((kind, name)), "{here} is there twice");
            assert!(name.len() <= LABEL_MAX, "{here}");
            assert_eq!(metadata["namespace"], NAMESPACE, "{here}");
            assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], RELEASE, "{here}");
            for (key, value) in labels(&metadata["labels"]) {
                assert!(value.len() <= LABEL_MAX, "{here}: {key}");
            }
            let annotations = serde_json::to_string(&document).unwrap();
            assert!(!annotations.contains("checksum/"), "{here}: a reload is hot");
        }
    }
}

#[test]
fn selectors_select_the_daemon_and_nothing_else() {
    for render in Render::all() {
        let (pod, _) = render.daemon();
        let service = render.of("Service").unwrap();
        let mut selectors = vec![
            ("StatefulSet", &render.of("StatefulSet").unwrap()["spec"]["selector"]["matchLabels"]),
            ("Service", &service["spec"]["selector"]),
        ];
        for kind in ["PodDisruptionBudget", "PodMonitor"] {
            selectors
                .extend(render.of(kind).map(|it| (kind, &it["spec"]["selector"]["matchLabels"])));
        }
        let policy = render.of("NetworkPolicy");
        selectors
            .extend(policy.map(|it| ("NetworkPolicy", &it["spec"]["podSelector"]["matchLabels"])));
        for (kind, selector) in selectors {
            let here = format!("{}: {kind}", render.name);
            assert!(selects(selector, &pod["labels"]), "{here} does not select the daemon");
            for (what, metadata, _) in render.pods().iter().filter(|(what, ..)| *what != "daemon") {
                assert!(!selects(selector, &metadata["labels"]), "{here} selects the {what}");
            }
        }
        if let Some(monitor) = render.of("ServiceMonitor") {
            let selector = &monitor["spec"]["selector"]["matchLabels"];
            assert!(selects(selector, &service["metadata"]["labels"]), "{}", render.name);
        }
        if let Some(policy) = policy {
            let tests = items(&policy["spec"]["ingress"][0], "from")
                .any(|peer| selects(&peer["podSelector"]["matchLabels"], test_labels(&render)));
            assert!(tests, "{}: `helm test` is shut out", render.name);
        }
    }
}

fn test_labels(render: &Render) -> &Value {
    let pods = render.pods();
    let (_, metadata, _) = pods.into_iter().find(|(what, ..)| *what == "test").unwrap();
    &metadata["labels"]
}

#[test]
fn ports_are_named_as_they_are_used() {
    for render in Render::all() {
        let here = &render.name;
        let (_, spec) = render.daemon();
        let daemon = &spec["containers"][0];
        let port = &daemon["ports"][0];
        let number = port["containerPort"].as_u64().unwrap();
        assert!((1024..=65535).contains(&number), "{here}: no right to a lower port");
        let env = |name: &str| {
            let found = items(daemon, "env").find(|variable| variable["name"] == name);
            found.map(|variable| variable["value"].as_str().unwrap().to_owned())
        };
        assert_eq!(env("POSTROOM_LISTEN"), Some(format!("0.0.0.0:{number}")), "{here}");
        assert_eq!(env("POSTROOM_URL"), Some(format!("http://127.0.0.1:{number}")), "{here}");
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert_eq!(daemon[probe]["httpGet"]["port"], port["name"], "{here}: {probe}");
        }
        let service = render.of("Service").unwrap();
        let service_port = &service["spec"]["ports"][0];
        assert_eq!(service_port["targetPort"], port["name"], "{here}");
        let name = &service["metadata"]["name"];
        if let Some(monitor) = render.of("ServiceMonitor") {
            assert_eq!(monitor["spec"]["endpoints"][0]["port"], service_port["name"], "{here}");
        }
        if let Some(monitor) = render.of("PodMonitor") {
            let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
            assert_eq!(endpoint["port"], port["name"], "{here}");
        }
        if let Some(ingress) = render.of("Ingress") {
            let rule = &ingress["spec"]["rules"][0];
            let backend = &rule["http"]["paths"][0]["backend"]["service"];
            assert_eq!(&backend["name"], name, "{here}");
            assert_eq!(backend["port"]["name"], service_port["name"], "{here}");
            assert_eq!(ingress["spec"]["tls"][0]["hosts"][0], rule["host"], "{here}");
            let external = format!("https://{}", rule["host"].as_str().unwrap());
            assert_eq!(env("POSTROOM_EXTERNAL_URL"), Some(external), "{here}");
        }
        if let Some(route) = render.of("HTTPRoute") {
            let backend = &route["spec"]["rules"][0]["backendRefs"][0];
            assert_eq!(&backend["name"], name, "{here}");
            assert_eq!(backend["port"], service_port["port"], "{here}");
            let external = format!("https://{}", route["spec"]["hostnames"][0].as_str().unwrap());
            assert_eq!(env("POSTROOM_EXTERNAL_URL"), Some(external), "{here}");
        }
        if let Some(policy) = render.of("NetworkPolicy") {
            let ingress = &policy["spec"]["ingress"][0]["ports"][0];
            assert_eq!(ingress["port"], port["name"], "{here}");
        }
        let (_, _, test) = *render.pods().iter().find(|(what, ..)| *what == "test").unwrap();
        let url = format!("--url=http://{}:{}", name.as_str().unwrap(), service_port["port"]);
        assert!(items(&test["containers"][0], "args").any(|argument| *argument == url), "{here}");
    }
}

#[test]
fn every_mount_has_its_volume_and_every_volume_its_mount() {
    for render in Render::all() {
        let claims = &render.of("StatefulSet").unwrap()["spec"];
        for (what, _, spec) in render.pods() {
            let here = format!("{}: {what}", render.name);
            let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
            let mut volumes: BTreeSet<String> = items(spec, "volumes").map(name).collect();
            assert_eq!(volumes.len(), items(spec, "volumes").count(), "{here}: twice the same");
            if what == "daemon" {
                let claimed = items(claims, "volumeClaimTemplates").map(|it| name(&it["metadata"]));
                volumes.extend(claimed);
                assert!(volumes.contains("data"), "{here}");
            }
            let mut mounted = BTreeSet::new();
            for container in containers(spec) {
                let mut paths = BTreeSet::new();
                for mount in items(container, "volumeMounts") {
                    let path = mount["mountPath"].as_str().unwrap();
                    assert!(path.starts_with('/') && paths.insert(path), "{here}: {path}");
                    assert!(mount.get("subPath").is_none(), "{here}: {path} would not follow");
                    let written = ["/data", "/git", "/tmp"].contains(&path);
                    assert_eq!(mount["readOnly"] == true, !written, "{here}: {path}");
                    mounted.insert(name(mount));
                }
            }
            assert_eq!(mounted, volumes, "{here}");
        }
    }
}

#[test]
fn references_lead_somewhere() {
    for render in Render::all() {
        let check = |kind: &str, value: &Value| {
            let Some(name) = value.as_str() else { return };
            let known = render.has(kind, name) || GIVEN.contains(&name);
            assert!(known, "{}: {kind} {name} is not there", render.name);
        };
        for (what, _, spec) in render.pods() {
            check("ServiceAccount", &spec["serviceAccountName"]);
            for volume in items(spec, "volumes") {
                check("ConfigMap", &volume["configMap"]["name"]);
                check("Secret", &volume["secret"]["secretName"]);
                check("PersistentVolumeClaim", &volume["persistentVolumeClaim"]["claimName"]);
                for source in items(&volume["projected"], "sources") {
                    check("Secret", &source["secret"]["name"]);
                }
                // Before an install only hooks are there: the check has a copy of its own.
                let own = volume["configMap"]["name"].as_str().unwrap_or_default();
                let copy = render.has("ConfigMap", own) && what == "check";
                assert!(!copy || own.ends_with("-check"), "{}: {own}", render.name);
            }
            for container in containers(spec) {
                for variable in items(container, "env") {
                    check("Secret", &variable["valueFrom"]["secretKeyRef"]["name"]);
                    check("ConfigMap", &variable["valueFrom"]["configMapKeyRef"]["name"]);
                }
            }
        }
        let set = &render.of("StatefulSet").unwrap()["spec"];
        assert!(render.has("Service", set["serviceName"].as_str().unwrap()), "{}", render.name);
        assert_eq!(set["replicas"], 1, "{}: the store is opened by one process", render.name);
    }
}

#[test]
fn a_restricted_cluster_lets_it_in() {
    for render in Render::all() {
        for (what, _, spec) in render.pods() {
            let here = format!("{}: {what}", render.name);
            let pod = &spec["securityContext"];
            assert_eq!(pod["runAsNonRoot"], true, "{here}");
            assert_eq!(pod["seccompProfile"]["type"], "RuntimeDefault", "{here}");
            assert_eq!(spec["automountServiceAccountToken"], false, "{here}");
            for forbidden in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(spec.get(forbidden).is_none(), "{here}: {forbidden}");
            }
            for volume in items(spec, "volumes") {
                assert!(volume.get("hostPath").is_none(), "{here}");
            }
            for container in containers(spec) {
                let here = format!("{here} {}", container["name"]);
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false, "{here}");
                assert_eq!(security["readOnlyRootFilesystem"], true, "{here}");
                assert_eq!(security["capabilities"]["drop"][0], "ALL", "{here}");
                assert_ne!(security["runAsUser"], 0, "{here}");
                let resources = &container["resources"];
                assert!(resources["requests"]["memory"].is_string(), "{here}");
                assert!(resources["limits"]["memory"].is_string(), "{here}");
            }
        }
    }
}

/// Arguments of our containers, with what they are.
fn commands(render: &Render) -> Vec<(String, Vec<String>, &Value)> {
    let ours = |container: &&Value| container["args"].is_array();
    let mut found = Vec::new();
    for (what, _, spec) in render.pods() {
        for container in containers(spec).filter(ours) {
            let words = items(container, "args").map(|word| word.as_str().unwrap().to_owned());
            found.push((format!("{}: {what}", render.name), words.collect(), container));
        }
    }
    found
}

#[test]
fn arguments_are_understood_and_their_paths_are_mounted() {
    for render in Render::all() {
        for (here, words, container) in commands(&render) {
            let mut asked = Command::new(env!("CARGO_BIN_EXE_postroom"));
            let output = asked.args(&words).arg("--help").env_clear().output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{here}: {words:?}\n{said}");
            for word in &words {
                let flags = ["--config=", "--secrets-dir=", "--token-file="];
                let Some(path) = flags.iter().find_map(|flag| word.strip_prefix(flag)) else {
                    continue;
                };
                let mut mounts = items(container, "volumeMounts");
                let mounted = mounts.any(|it| path.starts_with(it["mountPath"].as_str().unwrap()));
                assert!(mounted, "{here}: {path} is not mounted");
            }
        }
    }
}

#[test]
fn configurations_in_the_values_are_good_and_the_check_sees_the_same() {
    let mut looked = 0;
    for render in Render::all() {
        let name = render.of("Service").unwrap()["metadata"]["name"].as_str().unwrap();
        let data = |name: &str| {
            let maps = render.documents.iter().filter(|it| it["kind"] == "ConfigMap");
            maps.into_iter().find(|it| it["metadata"]["name"] == name).map(|it| &it["data"])
        };
        let Some(files) = data(name) else { continue };
        assert_eq!(data(&format!("{name}-check")), Some(files), "{}", render.name);
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files.as_object().unwrap() {
            std::fs::write(folder.path().join(name), text.as_str().unwrap()).unwrap();
        }
        let problems = config::load(&[folder.path().to_owned()]).problems;
        let errors: Vec<String> = problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", render.name);
        looked += 1;
    }
    assert!(looked >= 2, "{looked}");
}

#[test]
fn alerts_and_dashboard_arrive_whole() {
    let renders = Render::all();
    let render = renders.iter().find(|render| render.name == "monitoring").unwrap();
    let written =
        std::fs::read_to_string(root().join("charts/postroom/files/alerts.yaml")).unwrap();
    let mut written: Value = serde_yaml::from_str(&written).unwrap();
    for rule in written["groups"][0]["rules"].as_array_mut().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        let page = format!("https://git.example.com/desk/docs/runbooks/{name}.md");
        rule["annotations"]["runbook_url"] = page.into();
        rule["labels"]["team"] = "desk".into();
    }
    let left_out = |rule: &Value| rule["alert"] == "PostroomTlsInsecure";
    written["groups"][0]["rules"].as_array_mut().unwrap().retain(|rule| !left_out(rule));
    assert_eq!(render.of("PrometheusRule").unwrap()["spec"], written);
    let mut maps = render.documents.iter().filter(|it| it["kind"] == "ConfigMap");
    let dashboard = maps.find_map(|map| map["data"]["postroom.json"].as_str()).unwrap();
    let file =
        std::fs::read_to_string(root().join("charts/postroom/files/dashboard.json")).unwrap();
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(parse(dashboard), parse(&file));
}

/// Whether a path is led to by one of these, each with its kind. A prefix counts by whole segments, as
/// Ingress and HTTPRoute define it.
fn leads_to(paths: &[(String, String)], path: &str) -> bool {
    paths.iter().any(|(kind, led)| match kind.as_str() {
        "Exact" => path == led,
        _ => path
            .strip_prefix(led.trim_end_matches('/'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    })
}

/// What leads in from outside leads to every route, and not to those for Prometheus, the kubelet and
/// the administrator.
#[test]
fn every_route_is_led_to_but_metrics_and_operations() {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut looked_at = 0;
    for render in Render::all() {
        let mut paths = Vec::new();
        if let Some(ingress) = render.of("Ingress") {
            let led = items(&ingress["spec"]["rules"][0]["http"], "paths");
            paths.extend(led.map(|one| (text(&one["pathType"]), text(&one["path"]))));
        }
        if let Some(route) = render.of("HTTPRoute") {
            for rule in items(&route["spec"], "rules") {
                assert!(items(rule, "matches").count() <= 8, "{}", render.name);
                let led = items(rule, "matches").map(|one| &one["path"]);
                paths.extend(led.map(|one| (text(&one["type"]), text(&one["value"]))));
            }
        }
        if paths.is_empty() {
            continue;
        }
        looked_at += 1;
        let routes = routes::all();
        for route in &routes {
            let inside = route.path == "/metrics" || route.path.starts_with("/-/");
            assert_eq!(leads_to(&paths, route.path), !inside, "{}: {}", render.name, route.path);
        }
        for path in &paths {
            let used = routes.iter().any(|route| leads_to(std::slice::from_ref(path), route.path));
            assert!(used, "{}: {path:?} leads to nothing", render.name);
        }
    }
    assert_eq!(looked_at, 2);
}
