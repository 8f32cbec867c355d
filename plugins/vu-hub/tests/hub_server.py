"""A hub on this machine: the endpoints that pushing and pulling a model use, kept in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_" + "a" * 34


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)

    @property
    def sha(self) -> str:
        return hashlib.sha1(json.dumps(self.commits).encode()).hexdigest()


class Hub(ThreadingHTTPServer):
    """Serves ``repositories`` by name; ``asked`` lists every request's method and path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None: ...

    def do_POST(self) -> None:
        self._route("POST")

    def do_PUT(self) -> None:
        self._route("PUT")

    def do_GET(self) -> None:
        self._route("GET")

    def do_HEAD(self) -> None:
        self._route("HEAD")

    def _route(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{method} {path}")
        body = self._body()
        for wanted, pattern, answer in _ROUTES:
            found = re.fullmatch(pattern, path)
            if wanted == method.replace("HEAD", "GET") and found:
                if wanted != "GET" and not path.startswith("/large/") and not self._known():
                    return self._json({"error": "Invalid username or password."}, 401)
                return answer(self, body, *found.groups())
        return self._json({"error": f"no such endpoint: {path}"}, 404)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        if name in self.server.repositories:
            return self._json({"error": "You already created this model repo", "url": self._url(name)}, 409)
        private = asked.get("private", asked.get("visibility") == "private")
        self.server.repositories[name] = Repository(private=bool(private))
        return self._json({"url": self._url(name), "name": name, "id": name})

    def _validate(self, body: bytes) -> None:
        metadata = yaml.safe_load(json.loads(body)["content"].split("---")[1])
        errors = [] if isinstance(metadata, dict) and "tags" in metadata else [{"message": "no metadata"}]
        self._json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def _preupload(self, body: bytes, name: str, _revision: str) -> None:
        files = [file["path"] for file in json.loads(body)["files"]]
        modes = {path: "lfs" if path.endswith((".safetensors", ".png")) else "regular" for path in files}
        self._json(
            {"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()]}
        )

    def _batch(self, body: bytes, name: str) -> None:
        objects = json.loads(body)["objects"]
        answers = [
            {**item, "actions": {"upload": {"href": f"{self.server.address}/large/{item['oid']}", "header": {}}}}
            for item in objects
        ]
        self._json({"transfer": "basic", "objects": answers})

    def _large(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.server.large[oid] = body
        self._json({})

    def _commit(self, body: bytes, name: str, _revision: str) -> None:
        repository = self.server.repositories[name]
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                repository.commits.append(value["summary"])
            elif item["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                repository.files[value["path"]] = self.server.large[value["oid"]]
            else:
                raise AssertionError(f"unknown part of a commit: {item['key']}")
        self._json({"commitOid": repository.sha, "commitUrl": f"{self._url(name)}/commit/{repository.sha}"})

    def _info(self, _body: bytes, name: str, revision: str | None = None) -> None:
        repository = self.server.repositories.get(name)
        if repository is None or (repository.private and not self._known()):
            return self._json({"error": "Repository not found"}, 404, code="RepoNotFound")
        if revision not in (None, "main", repository.sha):
            return self._json({"error": "Invalid rev id"}, 404, code="RevisionNotFound")
        siblings = [{"rfilename": path, "size": len(content)} for path, content in repository.files.items()]
        return self._json({"id": name, "sha": repository.sha, "private": repository.private, "siblings": siblings})

    def _tree(self, _body: bytes, name: str, _revision: str) -> None:
        files = self.server.repositories[name].files
        self._json([{"type": "file", "path": p, "size": len(c), "oid": _etag(c)} for p, c in files.items()])

    def _resolve(self, _body: bytes, name: str, _revision: str, path: str) -> None:
        repository = self.server.repositories[name]
        content = repository.files[path]
        self._send(content, 200, {"X-Repo-Commit": repository.sha, "ETag": f'"{_etag(content)}"'})

    def _url(self, name: str) -> str:
        return f"{self.server.address}/{name}"

    def _json(self, value: object, status: int = 200, code: str = "") -> None:
        self._send(json.dumps(value).encode(), status, {"X-Error-Code": code} if code else {})

    def _send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES = (
    ("POST", "/api/repos/create", _Handler._create),
    ("POST", "/api/validate-yaml", _Handler._validate),
    ("POST", f"/api/models/{_NAME}/preupload/(.+)", _Handler._preupload),
    ("POST", f"/{_NAME}.git/info/lfs/objects/batch", _Handler._batch),
    ("PUT", "/large/([0-9a-f]{64})", _Handler._large),
    ("POST", f"/api/models/{_NAME}/commit/(.+)", _Handler._commit),
    ("GET", f"/api/models/{_NAME}/tree/([^/]+)", _Handler._tree),
    ("GET", f"/api/models/{_NAME}/revision/([^/]+)", _Handler._info),
    ("GET", f"/api/models/{_NAME}", _Handler._info),
    ("GET", f"/{_NAME}/resolve/([^/]+)/(.+)", _Handler._resolve),
)
