"""Serves the local Slack as a page: what each person sees is pushed to the browser, what they do comes back."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.responses import StreamingResponse as Stream
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from bot.domain.command import FORMS, usage
from bot.domain.words import COMMAND
from bot.playground.page.panel import Panel
from bot.playground.slack.forms import CannotAct
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.values import Delivery, Message, Payload, View
from bot.playground.slack.workspace import BOT_USER

STATIC: Final = Path(__file__).with_name("static")
EVERY: Final = 0.1
"""Seconds between looks for something new to push."""
HEADERS: Final = {
    # Scripts and styles come from the page's own files alone: what a bot or a person wrote could not run even as HTML.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Page:
    """The page's routes, for `LocalSlack(extra_routes=…)`; `slack` is asked for once requests come.

    `cast` says of each person whom one may act as what they may do. `has_home` and `shortcuts` (labels by callback_id)
    are the app's manifest: Slack tells a bot of an opened Home tab only if it has one.
    """

    def __init__(
        self,
        *,
        slack: Callable[[], LocalSlack],
        panel: Panel,
        cast: Mapping[str, str],
        has_home: bool = False,
        shortcuts: Mapping[str, str] | None = None,
    ) -> None:
        self._slack = slack
        self._panel = panel
        self._cast = cast
        self._has_home = has_home
        self._shortcuts = shortcuts or {}
        self._closed = False

    @property
    def routes(self) -> tuple[BaseRoute, ...]:
        """Everything that the browser asks for."""
        return (
            Route("/", lambda _: FileResponse(STATIC / "index.html", headers=HEADERS)),
            Route("/page/events", self._events),
            Route("/page/act", self._act, methods=["POST"]),
            Route("/page/files/{file}", self._file),
            Route("/archives/{channel}/p{ts:int}", _permalink),
            Mount("/page", StaticFiles(directory=STATIC)),
        )

    def close(self) -> None:
        """End the streams, so that the server can stop."""
        self._closed = True

    # --- what they see -----------------------------------------------------------------------------------------

    async def _events(self, request: Request) -> Response:
        user = request.query_params.get("as") or next(iter(self._cast))
        if user not in self._cast:
            return PlainTextResponse("nobody one can act as", 404)
        return Stream(self._told(user), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def _told(self, user: str) -> AsyncIterator[str]:
        """Push what the person sees and how the cloud is, each whole whenever it changed."""
        revision, before = -1, ""
        while not self._closed:
            if self._slack().revision != revision:
                revision = self._slack().revision
                yield _event("slack", json.dumps(await run_in_threadpool(self.snapshot, user)))
            cloud = json.dumps(await run_in_threadpool(self._panel.snapshot))
            if cloud != before:
                before = cloud
                yield _event("cloud", cloud)
            await asyncio.sleep(EVERY)

    def snapshot(self, user: str) -> Payload:
        """Return everything that this person's client shows."""
        slack = self._slack()
        with slack.still():
            places = [channel for channel in slack.channels.values() if user in channel.members]
            named = (*slack.people, *slack.groups, *slack.channels)
            home = slack.home(user)
            return {
                "as": user,
                "bot": BOT_USER,
                "people": [self._person(person) for person in self._cast],
                "names": {one: slack.name_of(one) for one in named},
                "places": [{"id": place.id, "name": place.name, "im": place.is_im} for place in places],
                "messages": [_message(message) for message in slack.seen_by(user)],
                "views": [_view(view) for view in slack.views(user)],
                "home": _view(home) if home else None,
                "has_home": self._has_home,
                "command": COMMAND,
                "hints": [{"usage": usage(form), "does": form.summary} for form in FORMS],
                "shortcuts": dict(self._shortcuts),
            }

    def _person(self, user: str) -> Payload:
        rings = [{"channel": ring.message.channel, "ts": ring.message.ts} for ring in self._slack().notifications(user)]
        return {"id": user, "name": self._slack().name_of(user), "does": self._cast[user], "rings": rings}

    async def _file(self, request: Request) -> Response:
        stored = self._slack().uploads.get(request.path_params["file"])
        if stored is None:
            return PlainTextResponse("no such file", 404)
        headers = {**HEADERS, "X-Content-Type-Options": "nosniff"}
        return Response(stored.content, headers=headers, media_type="text/plain; charset=utf-8")

    # --- what they do ------------------------------------------------------------------------------------------

    async def _act(self, request: Request) -> Response:
        # A form on somebody else's page cannot send JSON without the browser asking this server first.
        if request.headers.get("content-type") != "application/json":
            return PlainTextResponse("JSON alone", 415)
        act = await request.json()
        try:
            return JSONResponse(await run_in_threadpool(self._done, act))
        except CannotAct as reason:
            # Not an HTTP error: a browser would write that into its console, as if the page were broken.
            return JSONResponse({"problem": str(reason)})

    def _done(self, act: Payload) -> Payload:
        """Do it, and say how it went; what the person is shown for it comes with the next push."""
        slack, delivery, more = self._slack(), None, {}
        match act:
            case {"do": "say", "as": user, "channel": channel, "text": str(text)}:
                delivery = self._typed(user, channel, text.strip())
            case {"do": "press", "as": user, "action": action, **where}:
                delivery = slack.press(user, self._shown(where), action, where.get("value"), values=where.get("values"))
            case {"do": "submit", "as": user, "view": view, "values": values}:
                delivery = slack.submit_view(user, self._open(view), values)
            case {"do": "close", "as": user, "view": view, **more_of_them}:
                # Nobody is told how the bot took this, or an event: Slack's client shows nothing of it.
                slack.close_view(user, self._open(view), all_of_them=bool(more_of_them.get("all")))
            case {"do": "shortcut", "as": user, "shortcut": shortcut}:
                delivery = slack.shortcut(user, shortcut)
            case {"do": "home", "as": user}:
                slack.open_home(user)
            case {"do": "upload", "as": user, "name": name, "content": content}:
                more = {"file": slack.upload(name, base64.b64decode(content), user)}
            case {"do": "cloud", **dials}:
                self._panel.turn(dials)
            case _:
                raise CannotAct("this page knows no such act")
        return {"failure": delivery.failure if delivery else None, **more}

    def _typed(self, user: str, channel: str, text: str) -> Delivery | None:
        """Send what was typed with the three escapes that Slack's client makes."""
        for letter, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(letter, entity)
        command, _, words = text.partition(" ")
        if command == COMMAND:
            return self._slack().command(user, channel, words)
        if command.startswith("/"):
            raise CannotAct(f"{command} is not a command here; the only one is {COMMAND}")
        self._slack().say(user, channel, text)
        return None

    def _shown(self, where: Payload) -> Message | View:
        if "view" in where:
            return self._open(where["view"])
        message = self._slack().message(where.get("channel", ""), where.get("ts", ""))
        if message is None:
            raise CannotAct("that message is not there any more")
        return message

    def _open(self, view_id: str) -> View:
        view = self._slack().view(view_id)
        if view is None:
            raise CannotAct("that form is not open any more")
        return view


def _event(name: str, text: str) -> str:
    return f"event: {name}\ndata: {text}\n\n"


def _permalink(request: Request) -> Response:
    ts = str(request.path_params["ts"])
    return RedirectResponse(f"/#/{request.path_params['channel']}/{ts[:-6]}.{ts[-6:]}")


def _message(message: Message) -> Payload:
    return {
        "channel": message.channel,
        "ts": message.ts,
        "user": message.user,
        "text": message.text,
        "blocks": message.blocks,
        "thread": message.thread_ts,
        "broadcast": message.broadcast,
        "only": bool(message.only_for),
        "edited": len(message.versions) > 1 and not message.blocks,
        "files": [{"id": one.id, "name": one.name, "size": len(one.content)} for one in message.files],
    }


def _view(view: View) -> Payload:
    return {**view.body, "id": view.id, "hash": view.hash, "errors": dict(view.errors)}
