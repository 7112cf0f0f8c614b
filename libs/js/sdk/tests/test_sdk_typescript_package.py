"""The TypeScript package as programs get it: its own tests, its types in both module systems, a page of a browser."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from voisnap_testkit import node
from voisnap_testkit.scripted_http import Answer, ScriptedServer, scripted_server
from voisnap_testkit.seed_pages import Kind, seed_page

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[4]
JS = ROOT / "libs/js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
STRICT = {
    "strict": True,
    "exactOptionalPropertyTypes": True,
    "noUncheckedIndexedAccess": True,
    "noEmit": True,
    "target": "es2022",
    "module": "nodenext",
    "lib": ["es2022", "dom", "dom.iterable"],
    "types": ["node"],
}


@pytest.fixture(scope="module")
def package() -> Path:
    return node.build(JS / "sdk")


@pytest.fixture(scope="module")
def program(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program's folder with the package installed."""
    made = tmp_path_factory.mktemp("program")
    (made / "node_modules").symlink_to(JS / "node_modules")
    return made


@pytest.mark.parametrize("name", ["client", "coverage", "realtime"])
def test_the_packages_own_tests_hold(package: Path, name: str) -> None:
    done = _node(package, "--test", "--test-reporter=tap", f"tests/{name}.test.mjs")

    assert done.returncode == 0, "\n".join(re.findall(r"^not ok .*?(?=^ok|\Z)", done.stdout, re.M | re.S)) + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 5


def test_the_documentations_lines_the_readme_and_wrong_programs_are_typed(program: Path) -> None:
    pages = (seed_page("agents"), seed_page("conversations"))
    lines = [example.text for page in pages for example in page.of_kind(Kind.TYPESCRIPT)]
    snippets = "\n".join(f"{{\n{line}\n}}" for line in lines)
    using = 'import {{ VoisnapClient }} from "@voisnap/sdk";\nconst client = new VoisnapClient();\n{0}\n'
    (program / "seeds.mts").write_text(using.format(snippets))
    in_function = f"export async function run() {{\n{snippets}\n}}"
    (program / "seeds_required.cts").write_text(using.format(in_function))
    readme = "\n".join(re.findall(r"```ts\n(.*?)```", (JS / "sdk/README.md").read_text(), re.DOTALL))
    (program / "readme.mts").write_text(readme)
    shutil.copy(JS / "sdk/tests/types.ts", program / "types.mts")
    (program / "tsconfig.json").write_text(json.dumps({"compilerOptions": STRICT, "include": ["*.mts", "*.cts"]}))

    done = _node(program, str(JS / "node_modules/typescript/bin/tsc"), "-p", str(program))

    assert (done.stdout, done.returncode) == ("", 0)
    assert len(lines) >= 3


def test_the_generated_modules_are_those_of_the_document() -> None:
    command = [sys.executable, str(JS / "sdk/generate.py"), "--check", str(ROOT / "proto/openapi/api.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603

    assert done.returncode == 0, done.stderr


def test_no_type_of_the_api_is_hidden_by_a_name_of_the_package() -> None:
    index, models = ((JS / "sdk/src" / name).read_text() for name in ("index.ts", "models.ts"))
    own = set(re.findall(r"\b[A-Z]\w+\b", re.sub(r"//.*", "", index)))

    assert own & set(re.findall(r"^export (?:interface|type) (\w+)", models, re.MULTILINE)) == set()
    assert {"RealtimeSession", "ApiError"} <= own


def test_nothing_is_needed_to_run_it_but_signalr_for_conversations(package: Path, tmp_path: Path) -> None:
    described = json.loads((package / "package.json").read_text())
    shutil.copy(package / "dist/esm/index.js", tmp_path / "alone.mjs")
    program = """
        import { VoisnapClient } from "./alone.mjs";
        const answers = () => Promise.resolve(new Response('{"id": "agt_1"}'));
        const client = new VoisnapClient({ apiKey: "vsnp_live_x", fetch: answers });
        console.log((await client.agents.get("agt_1")).id);
        await client.realtime.chat({ agentId: "agt_1" }).catch((error) => console.log(error.name, error.message));
    """
    (tmp_path / "program.mjs").write_text(program)

    done = _node(tmp_path, "program.mjs")

    assert "dependencies" not in described
    assert described["peerDependenciesMeta"] == {"@microsoft/signalr": {"optional": True}}
    needed = "ConfigurationError Conversations need @microsoft/signalr: npm install @microsoft/signalr"
    assert done.stdout.splitlines() == ["agt_1", needed], done.stderr


def test_a_page_loads_it_and_calls_the_api(package: Path, tmp_path: Path) -> None:
    agents = {"data": [{"id": "agt_1", "name": "Aria"}], "page": 1, "pageSize": 20, "total": 1, "totalPages": 1}
    allowed = {
        "access-control-allow-origin": "*",
        "access-control-allow-headers": "authorization",
    }
    page = tmp_path / "page.html"
    script = (package / "dist/browser/voisnap.min.js").read_text()
    with scripted_server() as server:
        server.plays(Answer(agents, headers=allowed))
        page.write_text(_page(script, server))
        browser = next(found for name in BROWSERS if (found := shutil.which(name)))
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
        # A page of a file has no address space; Chromium would keep it from loopback.
        command.append("--disable-features=LocalNetworkAccessChecks")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        shown = subprocess.run(  # noqa: S603
            [*command, profile, page.as_uri()], capture_output=True, text=True, timeout=60, check=True
        ).stdout

    assert re.search(r"<p>(.*?)</p>", shown, re.DOTALL)[1] == "Aria · ConfigurationError"  # type: ignore[index]
    assert server.asked[-1].headers["authorization"] == "Bearer page-token"


def _page(script: str, server: ScriptedServer) -> str:
    return f"""<!doctype html><meta charset="utf-8"><p></p><script>{script}</script><script>
      (async () => {{
        const client = new Voisnap.VoisnapClient({{ accessToken: () => "page-token", baseUrl: "{server.url}" }});
        let shown = "";
        for await (const agent of client.agents.list()) shown += agent.name;
        try {{ new Voisnap.VoisnapClient({{ apiKey: "vsnp_live_x" }}); }} catch (error) {{ shown += " · " + error.name; }}
        document.querySelector("p").textContent = shown;
      }})().catch((error) => (document.querySelector("p").textContent = String(error)));
    </script>"""


def _node(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    node.put_on_path()
    found = shutil.which("node")
    assert found is not None
    return subprocess.run([found, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
