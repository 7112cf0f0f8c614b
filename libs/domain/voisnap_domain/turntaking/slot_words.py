"""How answers in pieces are asked for and given in other languages than English: tables of words, and how they spell numbers.

Everything is folded: lower case, without accents, ß as ss. `slots` has the rules and English, whose requests take more shapes.
"""

import re
import unicodedata
from enum import StrEnum
from functools import cache

import msgspec

from .words import word_set


class Slot(StrEnum):
    """Kinds of answers that are given in pieces."""

    DIGITS = "digits"
    DATE = "date"
    EMAIL = "email"
    SPELLING = "spelling"


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is given in pieces. `counts`: how many digits make it whole; empty when any number may.
    `year`: a date with its year.
    `language`: the ISO 639-1 code of the language it was asked for in."""

    slot: Slot
    counts: tuple[int, ...] = ()
    year: bool = False
    language: str = "en"


class SlotWords(msgspec.Struct, frozen=True, kw_only=True):
    """One language. Patterns match folded sentences; word sets hold folded words.

    `units`: 0 to 9, `teens`: 10 to 19, `tens`: 20 to 90, `hundreds`: by value. `joined`: whether "four" and "thirty" make one word, and with
    what between them (German `und`, Dutch `en`). `phone`: how many digits a telephone number has; empty when that differs.
    """

    request: str
    email: str
    sends: str
    spelling: str
    date: str
    birth: str
    counted: tuple[tuple[str, tuple[int, ...]], ...]
    phone: tuple[str, tuple[int, ...]]
    number: str
    not_a_number: str
    digit: str
    units: tuple[str, ...]
    teens: tuple[str, ...]
    tens: tuple[str, ...]
    others: dict[str, int] = msgspec.field(default_factory=dict)
    joined: str = ""
    and_: str = ""
    doubles: frozenset[str] = frozenset()
    months: frozenset[str]
    ordinals: frozenset[str] = frozenset()
    relative: frozenset[str]
    at: str
    dot: str
    leading: frozenset[str]
    declining: frozenset[str]
    letters: frozenset[str] = frozenset()
    """Words of one letter."""


_SPANISH = SlotWords(
    request=r"\?|¿|\b(cual|que|cuando|dig[ao]|diga(me|nos)|dime|dinos|de(me|nos)|da(me|nos)|deletre\w+|indi(ca|que)\w*|introdu\w+|marque|marca|teclee|teclea"
    r"|escrib\w+|repit\w+|confirm\w+|facilit\w+|proporcion\w+|necesit\w+|pued\w+|podri\w+)\b",
    email=r"\b(correo|e-?mail|mail)\b",
    sends=r"\b(envi\w+|mand\w+|contact\w+)\b",
    spelling=r"\bdeletre\w+|\bletra por letra\b",
    date=r"\b(fecha|cumpleanos|naci\w+|caduc\w+|vencimiento)\b",
    birth=r"\b(cumpleanos|naci\w+)\b",
    counted=(
        (r"\b(cvv|cvc|codigo de seguridad)\b", (3, 4)),
        (r"\b(codigo postal|cp)\b", (5,)),
        (r"\btarjeta\b", (16,)),
        (r"\bpin\b", (4,)),
    ),
    phone=(r"\b(telefono|movil|celular)\b", ()),
    number=r"\b(numero|digitos|codigo|cifras|referencia|iban|dni|nie)\b",
    not_a_number=r"\bnumero de (personas|invitados|noches|habitaciones)\b|\bcuant[oa]s\b",
    digit=r"(digitos?|cifras?|numeros?)",
    units=("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"),
    teens=("diez", "once", "doce", "trece", "catorce", "quince", "dieciseis", "diecisiete", "dieciocho", "diecinueve"),
    tens=("veinte", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"),
    others={
        "un": 1,
        "una": 1,
        "veintiuno": 21,
        "veintiun": 21,
        "veintidos": 22,
        "veintitres": 23,
        "veinticuatro": 24,
        "veinticinco": 25,
        "veintiseis": 26,
        "veintisiete": 27,
        "veintiocho": 28,
        "veintinueve": 29,
        "cien": 100,
        "ciento": 100,
        "doscientos": 200,
        "trescientos": 300,
        "cuatrocientos": 400,
        "quinientos": 500,
        "seiscientos": 600,
        "setecientos": 700,
        "ochocientos": 800,
        "novecientos": 900,
        "mil": 1000,
    },
    and_="y",
    doubles=word_set("doble"),
    months=word_set(
        "enero febrero marzo abril mayo junio julio agosto septiembre setiembre octubre noviembre diciembre"
    ),
    ordinals=word_set("primero"),
    relative=word_set(
        "hoy manana ayer ahora lunes martes miercoles jueves viernes sabado domingo semana mes ano proximo proxima"
    ),
    at=r"\barroba\b",
    dot=r"\bpunto\b",
    leading=word_set(
        "es el la mi numero un una si claro vale bueno pues eh mm a ver espere espera momento le lo digo doy de mi telefono movil correo "
        "electronico nombre fecha codigo tarjeta tengo y luego despues por favor seria"
    ),
    declining=word_set("no nunca perdon que quien como por mejor tarde"),
    letters=word_set("a e o u y"),
)

_FRENCH = SlotWords(
    request=r"\?|\b(quel(le)?s?|quand|comment|donne[zr]?|dites|dis|epele[zr]?|indique[zr]?|saisi\w+|tape[zr]?|compose[zr]?|entre[zr]|repete[zr]|confirme[zr]"
    r"|precise[zr]|besoin|pouve[zs]|pourri\w+|peux|communique[zr])\b",
    email=r"\b(e-?mail|mail|courriel|adresse electronique)\b",
    sends=r"\b(envo\w+|contact\w+|joindre)\b",
    spelling=r"\bepel\w+|\blettre par lettre\b",
    date=r"\b(date|anniversaire|ne\(?e?\)? le|naissance|expir\w+|etes-vous nee?)\b",
    birth=r"\b(anniversaire|naissance|nee?)\b",
    counted=(
        (r"\b(cvv|cvc|cryptogramme|code de securite)\b", (3, 4)),
        (r"\bcode postal\b", (5,)),
        (r"\bcarte\b", (16,)),
        (r"\bpin\b", (4,)),
        (r"\bsecurite sociale\b", (13, 15)),
    ),
    phone=(r"\b(telephone|portable|mobile)\b", (10,)),
    number=r"\b(numero|chiffres|code|reference|iban|siret)\b",
    not_a_number=r"\b(nombre de|combien)\b",
    digit=r"chiffres?",
    units=("zero", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"),
    teens=("dix", "onze", "douze", "treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf"),
    tens=("vingt", "trente", "quarante", "cinquante", "soixante", "septante", "octante", "nonante"),
    others={"une": 1, "vingts": 20, "huitante": 80, "cent": 100, "cents": 100, "mille": 1000},
    and_="et",
    doubles=word_set("double"),
    months=word_set("janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre"),
    ordinals=word_set("premier 1er"),
    relative=word_set(
        "aujourd'hui demain hier maintenant lundi mardi mercredi jeudi vendredi samedi dimanche semaine mois an annee"
    ),
    at=r"\b(arobase|arobas|arrobase|at)\b",
    dot=r"\bpoint\b",
    leading=word_set(
        "c'est est le la mon ma numero un une oui bien sur d'accord alors euh hum attendez attends voyons moment instant je vous donne j'ai "
        "de telephone adresse mail e email nom date code carte et puis ensuite s'il vous plait voila ce serait"
    ),
    declining=word_set("non ne pas jamais pardon pourquoi qui comment quoi desole plutot"),
    letters=word_set("a y"),
)

_GERMAN = SlotWords(
    request=r"\?|\b(wie|was|welche[rsn]?|wann|nenn\w*|sag\w*|gib|geben|buchstabier\w+|wiederhol\w+|bestatig\w+|tipp\w+|eingeben|mitteil\w+|teilen|brauch\w*"
    r"|benotig\w+|konn\w+|durft\w+|darf|verrat\w+)\b",
    email=r"\b(e-?mail|mail)(-?adresse)?\b",
    sends=r"\b(send\w+|schick\w+|erreich\w+|kontakt\w+)\b",
    spelling=r"\bbuchstab\w+",
    date=r"\b(datum|\w*datum|geburtstag|geboren|ablauf\w*|gultig)\b",
    birth=r"\b(geburts\w+|geboren)\b",
    counted=(
        (r"\b(cvv|cvc|prufziffer|sicherheitscode)\b", (3, 4)),
        (r"\b(postleitzahl|plz)\b", (5,)),
        (r"\b(karten|kreditkarten)-?nummer\b", (16,)),
        (r"\bpin\b", (4,)),
    ),
    phone=(r"\b(telefon|handy|mobil|ruck)\w*\b", ()),
    number=r"\b(\w*nummer|\w*ziffern|\w*code|\w*kennung|\w*zeichen|iban|nummern)\b",
    not_a_number=r"\b(anzahl|wie viele|wieviele)\b",
    digit=r"(ziffern?|stellen|stellige\w*|zahlen)",
    units=("null", "eins", "zwei", "drei", "vier", "funf", "sechs", "sieben", "acht", "neun"),
    teens=("zehn", "elf", "zwolf", "dreizehn", "vierzehn", "funfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"),
    tens=("zwanzig", "dreissig", "vierzig", "funfzig", "sechzig", "siebzig", "achtzig", "neunzig"),
    others={"ein": 1, "eine": 1, "zwo": 2, "hundert": 100, "tausend": 1000},
    joined="und",
    doubles=word_set("doppel doppelt zweimal"),
    months=word_set("januar janner februar marz april mai juni juli august september oktober november dezember"),
    ordinals=word_set(
        "erste ersten zweite zweiten dritte dritten vierte vierten funfte funften sechste sechsten siebte siebten achte achten neunte neunten "
        "zehnte zehnten elfte elften zwolfte zwolften"
    ),
    relative=word_set(
        "heute morgen gestern jetzt montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag woche monat jahr"
    ),
    at=r"\b(at|at-zeichen|klammeraffe|et)\b",
    dot=r"\bpunkt\b",
    leading=word_set(
        "das ist die der meine mein nummer eine ja klar gut also ah ahm hm moment warten sie mal sehen augenblick ich habe sage gebe ihnen "
        "telefonnummer handynummer adresse mail e email name datum code karte und dann bitte gerne ware lautet"
    ),
    declining=word_set("nein nicht nie entschuldigung warum wer wie was lieber spater kein keine"),
)

_ITALIAN = SlotWords(
    request=r"\?|\b(qual[ei]?|quando|come|mi (dica|dia|da|dice)|dica\w*|dimmi|dammi|sillab\w+|lettera per lettera|indich\w+|indic\w+|inseri\w+|digit\w+|compon\w+"
    r"|ripet\w+|conferm\w+|forni\w+|bisogno|serve|puo|puoi|potrebbe|potresti|scand\w+)\b",
    email=r"\b(e-?mail|mail|posta elettronica)\b",
    sends=r"\b(invi\w+|mand\w+|contatt\w+)\b",
    spelling=r"\b(sillab\w+|scand\w+|spelling|lettera per lettera|compit\w+)\b",
    date=r"\b(data|compleanno|nat[oa]|nascita|scadenza)\b",
    birth=r"\b(compleanno|nat[oa]|nascita)\b",
    counted=(
        (r"\b(cvv|cvc|codice di sicurezza)\b", (3, 4)),
        (r"\b(cap|codice postale)\b", (5,)),
        (r"\bcarta\b", (16,)),
        (r"\bpin\b", (4,)),
    ),
    phone=(r"\b(telefono|cellulare|telefonico)\b", ()),
    number=r"\b(numero|cifre|codice|riferimento|iban|partita iva)\b",
    not_a_number=r"\bnumero di (persone|ospiti|notti|camere)\b|\bquant[ei]\b",
    digit=r"(cifre|cifra|numeri)",
    units=("zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove"),
    teens=(
        "dieci",
        "undici",
        "dodici",
        "tredici",
        "quattordici",
        "quindici",
        "sedici",
        "diciassette",
        "diciotto",
        "diciannove",
    ),
    tens=("venti", "trenta", "quaranta", "cinquanta", "sessanta", "settanta", "ottanta", "novanta"),
    others={
        "un": 1,
        "una": 1,
        "cento": 100,
        "duecento": 200,
        "trecento": 300,
        "quattrocento": 400,
        "cinquecento": 500,
        "seicento": 600,
        "settecento": 700,
        "ottocento": 800,
        "novecento": 900,
        "mille": 1000,
        "millenovecento": 1900,
        "duemila": 2000,
    },
    doubles=word_set("doppio doppia"),
    months=word_set("gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre"),
    ordinals=word_set("primo"),
    relative=word_set(
        "oggi domani ieri adesso lunedi martedi mercoledi giovedi venerdi sabato domenica settimana mese anno"
    ),
    at=r"\b(chiocciola|chiocciolina|at)\b",
    dot=r"\bpunto\b",
    leading=word_set(
        "e il la lo mio mia numero un una si certo bene allora ehm mm aspetti aspetta momento attimo vediamo le do dico ho di telefono cellulare "
        "indirizzo mail email nome data codice carta poi per favore sarebbe ecco"
    ),
    declining=word_set("no non mai scusi scusa perche chi come cosa meglio dopo"),
    letters=word_set("a e i o"),
)

_PORTUGUESE = SlotWords(
    request=r"\?|\b(qual|quais|que|quando|diga\w*|diz\w*|de-me|me (da|diz|diga|informa|passa)|informe|soletr\w+|indi(ca|que)\w*|introdu\w+|digit[ea]\w*|marque|escreva"
    r"|repit\w+|confirm\w+|fornec\w+|precis\w+|pode\w*|poderia)\b",
    email=r"\b(e-?mail|mail|correio eletronico)\b",
    sends=r"\b(envi\w+|mand\w+|contact\w+)\b",
    spelling=r"\bsoletr\w+|\bletra por letra\b",
    date=r"\b(data|aniversario|nasc\w+|validade|vencimento)\b",
    birth=r"\b(aniversario|nasc\w+)\b",
    counted=(
        (r"\b(cvv|cvc|codigo de seguranca)\b", (3, 4)),
        (r"\bcep\b", (8,)),
        (r"\bcodigo postal\b", (7,)),
        (r"\bcartao\b", (16,)),
        (r"\bcpf\b", (11,)),
        (r"\bnif\b", (9,)),
        (r"\bpin\b", (4,)),
    ),
    phone=(r"\b(telefone|telemovel|celular)\b", ()),
    number=r"\b(numero|digitos|codigo|referencia|iban|protocolo)\b",
    not_a_number=r"\bnumero de (pessoas|hospedes|noites|quartos)\b|\bquant[oa]s\b",
    digit=r"(digitos?|algarismos?|numeros?)",
    units=("zero", "um", "dois", "tres", "quatro", "cinco", "seis", "sete", "oito", "nove"),
    teens=("dez", "onze", "doze", "treze", "catorze", "quinze", "dezasseis", "dezassete", "dezoito", "dezanove"),
    tens=("vinte", "trinta", "quarenta", "cinquenta", "sessenta", "setenta", "oitenta", "noventa"),
    others={
        "uma": 1,
        "duas": 2,
        "meia": 6,
        "quatorze": 14,
        "dezesseis": 16,
        "dezessete": 17,
        "dezenove": 19,
        "cem": 100,
        "cento": 100,
        "duzentos": 200,
        "trezentos": 300,
        "quatrocentos": 400,
        "quinhentos": 500,
        "seiscentos": 600,
        "setecentos": 700,
        "oitocentos": 800,
        "novecentos": 900,
        "mil": 1000,
    },
    and_="e",
    doubles=word_set("duplo dobro"),
    months=word_set("janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro"),
    ordinals=word_set("primeiro"),
    relative=word_set("hoje amanha ontem agora segunda terca quarta quinta sexta sabado domingo semana mes ano"),
    at=r"\b(arroba|at)\b",
    dot=r"\bponto\b",
    leading=word_set(
        "e o a meu minha numero um uma sim claro certo bem entao hum espere espera momento vamos ver eu tenho digo dou de telefone telemovel "
        "celular email mail correio endereco nome data codigo cartao depois por favor seria pronto"
    ),
    declining=word_set("nao nunca desculpe desculpa porque quem como que melhor depois"),
    letters=word_set("a e o"),
)

_DUTCH = SlotWords(
    request=r"\?|\b(wat|welk\w*|wanneer|hoe|geef\w*|geven|zeg\w*|noem\w*|spel\w*|herhaal\w*|bevestig\w*|toets\w*|typ\w*|vertel\w*|nodig|kunt|kun|zou|mag|wilt)\b",
    email=r"\b(e-?mail|mail)(adres)?\b",
    sends=r"\b(stur\w+|zend\w+|bereik\w+|mailen)\b",
    spelling=r"\bspel(len|t|ling)?\b|\bletter voor letter\b",
    date=r"\b(datum|\w*datum|verjaardag|geboren|verloop\w*)\b",
    birth=r"\b(geboorte\w*|verjaardag|geboren)\b",
    counted=(
        (r"\b(cvv|cvc|beveiligingscode)\b", (3, 4)),
        (r"\b(creditcard|kaart)\w*nummer\b", (16,)),
        (r"\bpin(code)?\b", (4,)),
        (r"\b(bsn|burgerservicenummer)\b", (9,)),
    ),
    phone=(r"\b(telefoon|mobiel|gsm)\w*\b", (10,)),
    number=r"\b(\w*nummer|\w*cijfers|\w*code|kenmerk|iban)\b",
    not_a_number=r"\b(aantal|hoeveel)\b",
    digit=r"(cijfers?|nummers?)",
    units=("nul", "een", "twee", "drie", "vier", "vijf", "zes", "zeven", "acht", "negen"),
    teens=("tien", "elf", "twaalf", "dertien", "veertien", "vijftien", "zestien", "zeventien", "achttien", "negentien"),
    tens=("twintig", "dertig", "veertig", "vijftig", "zestig", "zeventig", "tachtig", "negentig"),
    others={"honderd": 100, "duizend": 1000},
    joined="en",
    doubles=word_set("dubbel dubbele tweemaal"),
    months=word_set("januari februari maart april mei juni juli augustus september oktober november december"),
    ordinals=word_set("eerste tweede derde vierde vijfde zesde zevende achtste negende tiende elfde twaalfde"),
    relative=word_set(
        "vandaag morgen gisteren nu maandag dinsdag woensdag donderdag vrijdag zaterdag zondag week maand jaar"
    ),
    at=r"\b(apenstaartje|apestaartje|at)\b",
    dot=r"\bpunt\b",
    leading=word_set(
        "het is de mijn nummer een ja natuurlijk goed dus eh hm moment wacht even kijken ik heb zeg geef u telefoonnummer adres mail e email naam "
        "datum code kaart en dan graag alstublieft alsjeblieft zou zijn"
    ),
    declining=word_set("nee niet nooit sorry waarom wie hoe wat liever later geen"),
    letters=word_set("u"),
)

SLOT_WORDS: dict[str, SlotWords] = {
    "es": _SPANISH,
    "fr": _FRENCH,
    "de": _GERMAN,
    "it": _ITALIAN,
    "pt": _PORTUGUESE,
    "nl": _DUTCH,
}
"""By ISO 639-1 code. Languages without a table wait as they are configured, and English has rules of its own."""

_SCORE, _HUNDRED, _THOUSAND = 20, 100, 1000


def folded(text: str) -> str:
    """In lower case, without accents."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("ß", "ss").replace("’", "'"))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


@cache
def _values(language: str) -> dict[str, int]:
    words = SLOT_WORDS[language]
    values = dict(words.others)
    for start, step, names in ((0, 1, words.units), (10, 1, words.teens), (20, 10, words.tens)):
        values |= {name: start + step * place for place, name in enumerate(names)}
    for place, ten in enumerate(words.tens):
        for unit in range(1, 10):
            names = {words.units[unit], *(name for name, value in words.others.items() if value == unit)}
            if words.joined:
                values |= {f"{name}{words.joined}{ten}": 20 + 10 * place + unit for name in names}
            elif language == "it":
                stem = ten[:-1] if words.units[unit][0] in "uo" else ten
                values[f"{stem}{words.units[unit]}"] = 20 + 10 * place + unit
    return values


def _value(word: str, language: str) -> int | None:
    """What a number word is worth; of a compound such as "neunzehnhundertachtzig" too."""
    values = _values(language)
    if word in values:
        return values[word]
    for name, size in ((name, size) for name, size in values.items() if size in {_HUNDRED, _THOUSAND}):
        head, found, tail = word.partition(name)
        if not found or name == word:
            continue
        many = 1 if not head else _value(head, language)
        rest = 0 if not tail else _value(tail.removeprefix(SLOT_WORDS[language].joined), language)
        if many is not None and rest is not None:
            return many * size + rest
    return None


def spoken_digits(words: tuple[str, ...], language: str) -> int:
    """How many digits folded words spell, as numbers are read out in groups: "vingt-deux" two, "sechs" one, "0612" four."""
    table = SLOT_WORDS[language]
    count, group, repeats = 0, None, 0

    def closed(value: int | None) -> int:
        return 0 if value is None else len(str(value))

    for word in words:
        if word in table.doubles:
            repeats = 1
            continue
        if word == table.and_ and group is not None:
            continue
        value = None if word.isdecimal() else _value(word, language)
        extended = None if group is None or value is None else _extended(group, value, language)
        if extended is not None:
            group = extended
            continue
        count += closed(group)
        group = value
        if word.isdecimal():
            count += len(word)
        if value is not None or word.isdecimal():
            count += repeats
        repeats = 0
    return count + closed(group)


def _extended(group: int, value: int, language: str) -> int | None:
    """The number that a further word makes of one: "trente" and "deux"; None when it begins the next."""
    if value == _HUNDRED and 2 <= group <= 19:
        return group * _HUNDRED
    if value == _THOUSAND and 1 <= group <= 99:
        return group * _THOUSAND
    if language == "fr" and value == _SCORE and group == 4:
        return 80
    if language == "fr" and group in {60, 80} and 10 <= value <= 19:
        return group + value
    if language == "fr" and group % 100 in {10, 70, 90} and 7 <= value <= 9:
        return group + value
    if group >= _THOUSAND and group % _THOUSAND == 0 and 0 < value < _THOUSAND:
        return group + value
    if group >= _HUNDRED and group % _HUNDRED == 0 and 0 < value < _HUNDRED:
        return group + value
    if group % 100 >= _SCORE and group % 10 == 0 and 0 < value < 10:
        return group + value
    return None


@cache
def pattern(source: str) -> re.Pattern[str]:
    """A pattern of these tables, compiled once."""
    return re.compile(source)
