"""The bot: the engine, and Slack around it."""

import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from slack_sdk.errors import SlackClientError

from bot.config import Mode, Settings
from bot.domain.errors import ConfigError, Error, LedgerError
from bot.domain.events import BOT
from bot.domain.policy import alone, unguarded
from bot.engine.executor import Executor
from bot.engine.intake import Intake
from bot.engine.keeper import Halt, Keeper
from bot.engine.presses import Presses
from bot.slack.actions import Actions
from bot.slack.again import Again
from bot.slack.answers import Answers
from bot.slack.app import SlackApp, web_client
from bot.slack.commands import Commands
from bot.slack.files import Files
from bot.slack.form import Form
from bot.slack.home import Homes
from bot.slack.links import card_link
from bot.slack.message import Message
from bot.slack.orders import Orders
from bot.slack.people import SlackDirectory
from bot.slack.posts import post
from bot.slack.publisher import Publisher
from bot.slack.reasons import Reasons
from bot.slack.watch import Lost
from bot.wiring.engine import build_engine, keep_guards, now, open_ledger
from bot.wiring.patience import Runs, until_runs_end, until_slack_answers

log = structlog.get_logger()


class Bot:
    """The bot: engine, Slack, publisher. Runs go on before Slack answers, and while it does not."""

    def __init__(self, settings: Settings, *, halt: Halt) -> None:
        slack = settings.slack
        if slack.mode is not Mode.SOCKET or slack.bot_token is None or slack.app_token is None:
            raise ConfigError(('slack.mode: this version speaks Socket Mode; set mode = "socket"',))
        self._settings = settings
        self._halt = halt
        self._app_token = slack.app_token
        self._client = web_client(slack.bot_token, slack.api_url)
        self._directory = SlackDirectory(self._client, now=now, timer=time.monotonic)
        self._ledger = open_ledger(settings)
        self._answers = Answers(
            self._client,
            timer=time.monotonic,
            sleep=time.sleep,
            link=lambda cancellation: card_link(self._ledger, self._client, cancellation),
        )
        self._engine = build_engine(settings, self._ledger, self._directory, halt)
        self._files = Files(self._client, slack.bot_token, timer=time.monotonic)
        self._intake = Intake(self._engine.rooms, self._answers, fetch=self._files.read)
        self._keeper = Keeper(self._engine.rooms, self._intake, Executor(self._engine.rooms), halt)
        self._orders = Orders(self._engine.rooms, self._intake, self._keeper, self._answers)
        self._presses = Presses(self._engine.rooms)
        self._again = Again(self._ledger, self._client, self._presses, self._keeper, self._answers)
        self._homes = Homes(
            self._engine.rooms,
            self._client,
            self._engine.health,
            answer=self._keeper.answer,
            timer=time.monotonic,
        )
        self._publisher: Publisher | None = None
        self._app: SlackApp | None = None
        self._lost: Lost | None = None
        self._runs = Runs(self._ledger.at_work, timer=time.monotonic)

    def start(self) -> str:
        """Take up what was left, connect to Slack, and return the line that says that all is ready.

        Raises ConfigError when Slack will not have the tokens, Error when no connection opens though Slack is there,
        and HaltError when the process is told to leave meanwhile.
        """
        # Before anything runs: whoever lowers the guard and starts the bot is to be seen doing so.
        keep_guards(self._ledger, BOT, self._settings)
        self._keeper.start()
        self._reach(self._identify)
        self._publisher = Publisher(
            self._ledger,
            self._client,
            self._directory,
            self._answers,
            audit_channel=self._settings.audit_channel,
            owner=self._engine.rooms.owner,
            now=now,
            refresh=self._homes.refresh,
        )
        self._publisher.start()
        self._reach(self._connect)
        accounts = "; ".join(alone(account) for account in self._settings.accounts.values())
        for warning in filter(None, map(unguarded, self._settings.accounts.values())):
            log.warning("nobody_may_break_glass", account=warning)
        return f"ready: {self._settings.slack.mode} mode, {accounts}"

    def stop(self) -> None:
        """Take no new work, let what is in flight come to its end, and close everything; `Halt` has been asked."""
        if self._app is not None:
            self._app.close()
        self._keeper.stop()
        if self._publisher is not None:
            self._publisher.stop()
        # The publisher's last round may have taken its lease anew; where the ledger fails it lapses by itself.
        with suppress(LedgerError):
            self._ledger.leases.release_all(self._engine.rooms.owner)
        self._directory.close()
        self._files.close()
        self._engine.close()

    def lost(self) -> str | None:
        """Return why the process is to leave with an error, once what must not be cut has come to its end.

        When Slack takes the token again meanwhile that is at once: the next process takes the runs up, and listens.
        """
        if self._lost is None or (self._lost.after_runs and self._client.tokens.refused and self._runs.moving()):
            return None
        return self._lost.reason

    def _reach(self, ask: Callable[[], None]) -> None:
        """Ask Slack until it answers. Where it refuses the token, a run that was taken up is brought to its end first.

        Raises ConfigError then, Error when no connection opens though Slack is there, and HaltError when the process is
        told to leave meanwhile.
        """
        try:
            until_slack_answers(ask, alive=self._client.auth_test, timer=time.monotonic, sleep=self._halt.sleep)
        except ConfigError as error:
            self._halt.close()
            if self._runs.moving():
                log.error("slack_refuses_the_token", error=str(error), leaving="after the runs under way")  # noqa: TRY400
            until_runs_end(self._runs, taken=self._ask_both, timer=time.monotonic, sleep=self._halt.sleep)
            raise
        except Error as error:
            log.error("slack_lost", reason=str(error), leaving="now")  # noqa: TRY400 - the reason is all
            raise

    def _ask_both(self) -> None:
        self._client.auth_test()
        self._client.apps_connections_open(app_token=self._app_token.reveal())

    def _give_up(self, lost: Lost) -> None:
        log.error("slack_lost", reason=lost.reason, leaving="after the runs under way" if lost.after_runs else "now")
        if lost.after_runs:
            self._halt.close()
        self._lost = lost

    def _crowded(self, others: int) -> None:
        """Say that other processes are on the same app: a copy that somebody forgot takes a part of every order."""
        text = (
            f"Beside mine Slack counts {others} more connection{'s' if others > 1 else ''} on this app, and gives each"
            " command and press to any one of them. That is right for processes that share this bot's database; any"
            " other is a copy that answers in its place: look for one that runs with the same tokens, and stop it."
        )
        log.warning("other_connections", others=others, meaning=text)
        channel = self._settings.audit_channel
        if channel is not None:
            self._keeper.answer(lambda: self._note(channel, text))

    def _note(self, channel: str, text: str) -> None:
        try:
            post(self._client, channel, Message(text=text))
        except (SlackClientError, OSError) as error:
            log.warning("note_failed", error=type(error).__name__)

    def _identify(self) -> None:
        found = self._client.auth_test()
        self._directory.identify(
            team=str(found.get("team_id") or ""), enterprise=str(found.get("enterprise_id") or "") or None
        )

    def _connect(self) -> None:
        self._app = self._app or self._listeners()
        self._app.connect()

    def _listeners(self) -> SlackApp:
        halt, answers = self._halt, self._answers
        # One form for the command and the shortcut: it remembers which sendings were given up on.
        form = self._form(halt)
        reasons = Reasons(self._ledger, self._client, self._presses, self._keeper, answers=answers, halt=halt)
        actions = Actions(self._ledger, self._presses, self._keeper, answers, halt, again=self._again, reasons=reasons)
        commands = self._commands(halt, form)
        return SlackApp(
            self._client,
            self._app_token,
            commands,
            actions,
            form=form,
            reasons=reasons,
            homes=self._homes,
            timer=time.monotonic,
            halt=halt,
            give_up=self._give_up,
            crowded=self._crowded,
        )

    def _commands(self, halt: Halt, form: Form) -> Commands:
        return Commands(
            self._engine.rooms,
            intake=self._intake,
            presses=self._presses,
            keeper=self._keeper,
            answers=self._answers,
            client=self._client,
            halt=halt,
            orders=self._orders,
            form=form,
            again=self._again,
        )

    def _form(self, halt: Halt) -> Form:
        rooms, keeper = self._engine.rooms, self._keeper
        return Form(rooms, self._client, orders=self._orders, keeper=keeper, answers=self._answers, halt=halt)
