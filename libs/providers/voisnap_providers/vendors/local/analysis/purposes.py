"""What the user wanted: the nearest of some forty known purposes, by words in six languages and by meaning in English."""

import re

import msgspec
import numpy as np
from voisnap_domain.sessions import EndReason

from .outcomes import is_declined
from .reading import Embed, Reading, words

GENERAL = "general_inquiry"
MOST_SENTENCES = 40
_LEAST_NEARNESS = 0.42
_LEAST_NEARNESS_ALONE = 0.33
_ANGRY, _GLAD = 0.35, 0.75
_LEAST_SCORE = 0.2


class Purpose(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that people want. `about` completes "The customer asked about …", `category` files it."""

    label: str
    category: str
    about: str
    pattern: str
    examples: tuple[str, ...]


PURPOSES: tuple[Purpose, ...] = (
    Purpose(label="billing_inquiry", category="billing", about="a bill", pattern=r"\b(?:invoices?|bill(?:ing|ed|s)?|charged?|charges|statement|overcharged|fees?|factura(?:s|ción)?|cobr\w+|cargo|rechnung(?:en)?|abgebucht|abbuchung|gebühr(?:en)?|facture|prélèvement|prélevé|fattura|addebito|fatura|cobrança)\b", examples=("I have a question about my last invoice", "Why was I charged twice this month?", "There is a charge on my bill that I don't recognize", "My bill is higher than usual")),
    Purpose(label="refund_request", category="billing", about="a refund", pattern=r"\b(?:refund(?:ed|s)?|money back|reimburse\w*|reembolso|devol\w+ (?:el|mi) dinero|rückerstattung|geld zurück|erstattung|rembours\w+|rimborso|reembols\w+)\b", examples=("I would like a refund for my order", "I want my money back", "When will I get my refund?")),
    Purpose(label="make_payment", category="billing", about="a payment", pattern=r"\b(?:pay (?:my|the|a|this|it|by|with)|make a payment|payment (?:plan|method|arrangement|extension)|due date|installments?|past due|pagar|bezahlen|zahlung|ratenzahlung|payer|paiement|pagare|pagamento)\b", examples=("I would like to make a payment on my account", "Can I pay my balance by credit card?", "Can I set up a payment plan?", "I need more time to pay my bill")),
    Purpose(label="cancel_subscription", category="retention", about="the cancellation of a subscription", pattern=r"\b(?:cancel\w* (?:\w+ ){0,3}(?:subscription|membership|account|plan|service|contract|policy|trial)|unsubscribe|close my account|terminate|stop (?:the|my) (?:subscription|service)|dar(?:me)? de baja|cancelar (?:mi|la|el) (?:suscripción|cuenta|contrato|servicio)|kündig\w+|résili\w+|disd\w+|cancelar (?:minha|a) (?:assinatura|conta))\b", examples=("I want to cancel my subscription", "How do I close my account?", "Please end my membership at the end of the month")),
    Purpose(label="plan_change", category="sales", about="a change of plan", pattern=r"\b(?:upgrade|downgrade|(?:bigger|cheaper|better|higher|next|larger|smaller|unlimited|premium) (?:\w+ )?(?:plan|package|tariff)|change (?:my|the|to a) (?:\w+ )?(?:plan|package|tariff)|switch (?:my|to (?:a|the|another)) (?:\w+ )?(?:plan|package)|cambiar (?:de|mi) (?:plan|tarifa)|tarif\w* wechseln|changer d'abonnement|forfait)\b", examples=("I'd like to upgrade to the premium plan", "Can I switch to a cheaper plan?", "I want more data in my package")),
    Purpose(label="technical_support", category="technical", about="a technical problem", pattern=r"\b(?:not working|doesn'?t work|stopped working|won'?t (?:turn on|start|connect|load|print|open|charge)|error (?:message|code)|crash\w*|internet|wi-?fi|router|modem|connection|signal|screen|app|software|printer|laptop|device|update|install\w*|no funciona|conexión|funktioniert (?:\w+ )?nicht|geht nicht|störung|ne (?:marche|fonctionne) (?:plus|pas)|en panne|non funziona|não funciona)\b", examples=("My internet is not working", "The app crashes every time I open it", "My device won't turn on", "I get an error message when I try to install the software", "The printer does not connect to the network")),
    Purpose(label="account_access", category="technical", about="access to an account", pattern=r"\b(?:password|log ?in|log into|sign in|locked out|username|verification code|reset (?:my|the)|two.factor|contraseña|iniciar sesión|passwort|kennwort|einloggen|anmelden|gesperrt|mot de passe|me connecter|senha|accedere)\b", examples=("I forgot my password", "I can't log into my account", "My account is locked")),
    Purpose(label="order_status", category="orders", about="the status of an order", pattern=r"\b(?:where(?:'s| is) my (?:order|package|parcel|delivery|shipment)|track\w*|order status|status of my order|shipped|hasn'?t (?:arrived|come|been delivered)|delivery date|(?:dónde|donde) está mi|mi pedido|paquete|wo (?:ist|bleibt) (?:meine?|die|das)|bestellung|sendung|paket|où est m\w+|ma commande|colis|mio ordine|meu pedido)\b", examples=("Where is my order?", "When will my package arrive?", "I want to check the status of my delivery")),
    Purpose(label="delivery_problem", category="orders", about="a delivery", pattern=r"\b(?:never (?:arrived|delivered|came)|didn'?t arrive|not (?:arrived|delivered)|wrong (?:item|product|size|order|address)|missing (?:item|part|from)|damaged|arrived broken|late delivery|no (?:ha )?lleg\w+|nicht (?:angekommen|geliefert)|beschädigt|falsche[ns]? (?:artikel|produkt|größe)|pas arrivé|endommagé|non è arrivato)\b", examples=("My order arrived damaged", "I received the wrong item", "My package says delivered but I never got it", "Part of my order is missing")),
    Purpose(label="return_request", category="orders", about="a return", pattern=r"\b(?:return (?:it|this|the|an?|my|them|policy|label)|send (?:it|this|them) back|exchange (?:it|this|the|them|for)|devolver|devolución|cambio de talla|zurückschicken|zurückgeben|umtauschen|rücksendung|retourner|échanger|restituire|devolver)\b", examples=("I would like to return this item", "How can I exchange these shoes for another size?", "Can you send me a return label?")),
    Purpose(label="place_order", category="sales", about="an order", pattern=r"\b(?:place an order|(?:i'?d like|i want|can i|like) to (?:order|buy|purchase)|order (?:a|some|two|three|one|for (?:pickup|delivery|takeout))|takeout|para llevar|(?:quiero|quisiera|hacer un) (?:pedir(?! (?:una )?cita)|comprar|pedido)|bestellen|kaufen|commander|acheter|ordinare|encomendar|comprar)\b", examples=("I'd like to order two large pizzas", "I want to buy the blue one", "Can I place an order over the phone?", "I'd like to order food for delivery")),
    Purpose(label="book_appointment", category="appointments", about="an appointment", pattern=r"\b(?:(?:book|make|schedule|need|get|set up|like|arrange) (?:an?|my|the|another)? ?(?:\w+ )?(?:appointment|visit|consultation|check-?up|viewing|inspection|cleaning|haircut|test drive|meeting)|come in for|see (?:the|a) (?:doctor|dentist)|(?:pedir|reservar|agendar|sacar|una) (?:una )?cita|termin (?:vereinbaren|machen|ausmachen|buchen|haben)|einen termin|prendre (?:un )?rendez-vous|rendez-vous|appuntamento|marcar (?:uma )?consulta|available (?:slots?|times?)|(?:anything|something|any (?:slots?|openings?|times?|appointments?|availability)|a slot|openings?) (?:free|open|available|on|for|this|next|tomorrow|today))\b", examples=("I'd like to book an appointment", "Do you have any openings on Thursday?", "I need to see the dentist for a cleaning", "Can I schedule a viewing of the apartment?", "I want to set up a consultation", "Could someone have a look at it today?", "Can I come by this week to talk about it?", "Is there still a spot in the class tomorrow?")),
    Purpose(label="reschedule_appointment", category="appointments", about="another time for an appointment", pattern=r"\b(?:reschedul\w*|(?:move|change|postpone|push) (?:\w+ ){0,2}(?:appointment|booking|reservation|visit|meeting|delivery)|different (?:day|time|date)|can'?t make it|cambiar (?:mi|la) (?:cita|reserva)|verschieben|verlegen|umbuchen|(?:déplacer|décaler|reporter)|spostare|remarcar)\b", examples=("I need to reschedule my appointment", "Can I move my booking to another day?", "I can't make it on Monday, is there another time?")),
    Purpose(label="cancel_appointment", category="appointments", about="the cancellation of an appointment", pattern=r"\b(?:cancel\w* (?:\w+ ){0,3}(?:appointment|booking|reservation|visit|meeting|table|room|flight|order)|(?:cancelar|anular) (?:mi |la |una )?(?:cita|reserva)|termin (?:absagen|stornieren)|(?:absagen|stornieren)|annuler (?:mon|ma|le|la) (?:rendez-vous|réservation)|annullare|desmarcar)\b", examples=("I have to cancel my appointment tomorrow", "Please cancel my reservation for Saturday")),
    Purpose(label="confirm_appointment", category="appointments", about="the confirmation of an appointment", pattern=r"\b(?:confirm(?:ing)? (?:my|the|your|an?|our) (?:\w+ )?(?:appointment|booking|reservation|visit|meeting)|what time is my (?:appointment|reservation)|confirmar (?:mi|la|su) (?:cita|reserva)|termin bestätigen|confirmer (?:mon|le|votre) rendez-vous)\b", examples=("I'm calling to confirm my appointment", "What time is my appointment tomorrow?")),
    Purpose(label="make_reservation", category="reservations", about="a reservation", pattern=r"\b(?:reserv(?:e|ation|ing)|book (?:a|the|two|one) (?:\w+ )?(?:table|room|flight|ticket|car|taxi|seat|night)|table for|mesa para|una mesa|habitación|tisch (?:reservieren|für|bestellen)|reservieren|zimmer|réserver|une table|chambre|prenotare|tavolo|reservar|quarto)\b", examples=("I'd like to reserve a table for four", "Do you have a room available for two nights?", "I want to book a flight to Madrid", "Can I rent a car for the weekend?")),
    Purpose(label="opening_hours", category="information", about="the opening hours", pattern=r"\b(?:(?:what (?:time|are)|when|until when|are you|how late|is (?:the|your) \w+).{0,30}(?:open|close|hours)|opening (?:hours|times)|business hours|open (?:on|today|tomorrow|late|until|this)|horario|a qué hora (?:abren|cierran)|abren|cierran|öffnungszeiten|geöffnet|wann (?:haben|machen|schließen|öffnen)|horaires|ouvert|orari|aperti|horário)\b", examples=("What time do you close today?", "Are you open on Sundays?", "What are your opening hours?")),
    Purpose(label="location_inquiry", category="information", about="the location", pattern=r"\b(?:where are you (?:located|based)|your (?:address|location)|how do i get (?:there|to)|directions|parking|park my car|nearest (?:store|branch|office)|dónde (?:están|se encuentra|queda)|dirección|wo (?:sind|finde|befinde\w*)|adresse|parken|où (?:êtes|se trouve)|dove siete|onde fica)\b", examples=("Where are you located?", "Is there parking near your office?", "How do I get to your store?")),
    Purpose(label="pricing_inquiry", category="sales", about="prices", pattern=r"\b(?:how much (?:is|does|do|are|would|for|will)|what(?:'s| is| are) the (?:price|cost|rate)s?|pric(?:e|es|ing)|cost(?:s)? (?:of|for|me)|quote|estimate|rates?|cuánto (?:cuesta|vale|sería)|precios?|tarifas?|was kostet|wie viel kostet|preise?|kosten|angebot|combien (?:coûte|ça)|prix|tarifs?|quanto (?:costa|custa)|prezz\w+|preços?)\b", examples=("How much does it cost?", "What are your prices?", "Can you give me a quote for the work?", "Do you have a discount for students?")),
    Purpose(label="product_inquiry", category="sales", about="a product", pattern=r"\b(?:do you (?:have|sell|offer|carry|stock)|in stock|available in|what (?:kinds?|types?|sizes?|colou?rs?) |features?|compatible|difference between|warranty|(?:tienen|venden|ofrecen)|disponible|haben sie|verkaufen sie|auf lager|avez-vous|vendez-vous|avete|vocês têm)\b", examples=("Do you have this in a larger size?", "What is the difference between the two models?", "Is the new phone in stock?", "Does it come with a warranty?")),
    Purpose(label="sales_inquiry", category="sales", about="the offer", pattern=r"\b(?:demo|free trial|interested in (?:your|the|a|buying|learning)|learn more|tell me more|pricing for (?:teams|business)|enterprise|sign(?:ing)? up|new customer|contratar|más información|interesad[oa] en|interesse an|mehr (?:informationen|erfahren)|intéressée? par|en savoir plus|interessat[oa] a)\b", examples=("I'm interested in your product and would like a demo", "Can you tell me more about your services?", "We are looking for a solution for our team", "I would like to sign up")),
    Purpose(label="complaint", category="complaint", about="a complaint", pattern=r"\b(?:complain\w*|unacceptable|terrible|awful|rude|disgust\w*|disappoint\w*|worst|ridiculous|manager|supervisor|queja|reclam(?:o|ación|ar)|inaceptable|vergüenza|beschwer\w+|unverschämt\w*|frechheit|inakzeptabel|plainte|réclamation|inadmissible|scandaleux|reclamo|lamentela|reclamação)\b", examples=("I want to make a complaint", "This is the worst service I have ever had", "Your employee was very rude to me", "The food was cold and the waiter ignored us")),
    Purpose(label="speak_to_human", category="support", about="talking to a person", pattern=r"\b(?:(?:speak|talk|get|connect|transfer)\w* (?:me )?(?:to|with|through to)? ?(?:a |an |some|the |your )?(?:real |live |actual |human )?(?:human|person|someone|somebody|agent|representative|operator|receptionist|department)|(?:hablar|comunicarme) con (?:una persona|alguien|un agente|un humano)|mit (?:einem|einer) (?:menschen|mitarbeiter(?:in)?|person|berater)|parler à (?:quelqu'un|une personne|un conseiller)|parlare con)\b", examples=("I want to speak to a real person", "Can you transfer me to an agent?", "Let me talk to someone in sales")),
    Purpose(label="callback_request", category="support", about="a call back", pattern=r"\b(?:call me back|callback|call back|give me a (?:call|ring)|return(?:ing)? (?:my|your|a) call|ask \w+ to call|ll[aá]me(?:nme)?|devuélvame|zurückrufen|rückruf|rappel(?:ez|er)|richiam\w+|me ligue)\b", examples=("Please call me back this afternoon", "Can someone give me a call tomorrow?", "I'm returning a missed call from you")),
    Purpose(label="leave_message", category="support", about="a message", pattern=r"\b(?:leave a message|take a message|pass (?:on|along) a message|let (?:him|her|them|\w+) know|dejar un (?:mensaje|recado)|nachricht hinterlassen|ausrichten|laisser un message|lasciare un messaggio)\b", examples=("Can I leave a message for the manager?", "Please tell him that I called")),
    Purpose(label="update_account", category="account", about="account details", pattern=r"\b(?:(?:change|update) (?:my|the|our) (?:\w+ )?(?:address|phone|number|email|e-mail|name|details|card|bank|information|contact)|i(?:'ve| have)? (?:just )?moved|new (?:address|phone number|card)|(?:cambiar|actualizar) (?:mi|la) (?:dirección|teléfono|correo|datos|tarjeta)|(?:adresse|nummer|daten|bankverbindung|umgezogen) ?(?:ändern|aktualisieren)?|umgezogen|changer (?:mon|d')adresse|déménagé)\b", examples=("I need to update my address", "I want to change the phone number on my account", "I got a new credit card")),
    Purpose(label="document_request", category="account", about="a document", pattern=r"\b(?:(?:copy|duplicate) of|send me (?:the|a|my|an) (?:\w+ )?(?:invoice|receipt|contract|certificate|document|statement|form|brochure|label)|receipt|certificate|(?:copia|duplicado) de|recibo|certificado|kopie|bescheinigung|quittung|copie de|attestation|reçu|ricevuta|certificato)\b", examples=("Can you send me a copy of my contract?", "I need a receipt for my taxes", "Could you email me the form?")),
    Purpose(label="report_fraud", category="security", about="a suspected fraud", pattern=r"\b(?:fraud\w*|stolen|unauthori[sz]ed|(?:i )?(?:never|didn'?t|did not) (?:made|make|authori[sz]e)d?|(?:someone|somebody) (?:used|stole|has stolen)|suspicious|hacked|lost (?:my )?(?:card|wallet|phone)|block (?:my|the) (?:card|account)|identity theft|robad[oa]|fraude|bloquear (?:mi|la)|gestohlen|betrug|sperren|karte verloren|volée?|bloquer|rubat[oa]|furto)\b", examples=("I lost my credit card and need to block it", "There is a transaction that I did not make", "I think my account was hacked")),
    Purpose(label="insurance_claim", category="claims", about="a claim", pattern=r"\b(?:(?:file|make|report|start|open|submit|about my) (?:a |an |my )?(?:insurance )?claim|accident|insurance|coverage|covered|deductible|policyholder|siniestro|seguro|póliza|schaden melden|versicherung|unfall|sinistre|assurance|sinistro|assicurazione)\b", examples=("I had a car accident and want to file a claim", "Does my insurance cover water damage?", "What is the status of my claim?")),
    Purpose(label="prescription_refill", category="health", about="a prescription", pattern=r"\b(?:prescription|refill|medication|medicine|pharmacy|pills|receta|medicamentos?|farmacia|rezept|medikament\w*|apotheke|ordonnance|médicament|ricetta|receita)\b", examples=("I need a refill of my prescription", "Is my medication ready for pickup?")),
    Purpose(label="medical_question", category="health", about="a medical question", pattern=r"\b(?:symptoms?|pain|fever|headache|tooth(?:ache)?|allerg\w+|test results|blood test|vaccin\w+|dolor|fiebre|schmerz\w*|fieber|zahnschmerzen|douleur|fièvre|dolore|febbre|dor)\b", examples=("I have a fever and a sore throat", "My tooth hurts a lot", "Are my test results back?")),
    Purpose(label="emergency", category="urgent", about="an emergency", pattern=r"\b(?:emergency|gas leak|smell gas|flood(?:ed|ing)?|burst pipe|pipe burst|fire|locked out of (?:my|the) (?:house|apartment|car)|stranded|emergencia|notfall|rohrbruch|urgence|fuite|emergenza)\b", examples=("A pipe burst and my kitchen is flooded", "I smell gas in my apartment", "I'm locked out of my house")),
    Purpose(label="repair_request", category="service", about="a repair", pattern=r"\b(?:repair(?:ed|s)?|fix (?:my|the|it|a)|technician|plumber|electrician|maintenance|broken|leak(?:s|ing|y)?|heating|air condition\w*|boiler|dishwasher|washing machine|reparar|reparación|técnico|averiad[oa]|reparatur|reparieren|techniker|handwerker|heizung|kaputt|réparer|réparation|technicien|riparare|tecnico)\b", examples=("My washing machine is broken and needs repair", "Can you send a technician?", "The heating in my apartment does not work", "My car needs an oil change")),
    Purpose(label="travel_change", category="travel", about="a trip", pattern=r"\b(?:flight|luggage|baggage|boarding|check-?in|check ?out|airport|train ticket|vuelo|equipaje|maleta|flug|gepäck|koffer|vol|bagages|volo|bagaglio|voo)\b", examples=("My flight was cancelled", "I want to change my flight", "My luggage is lost", "Can I get a late check-out?")),
    Purpose(label="job_inquiry", category="careers", about="a job", pattern=r"\b(?:job (?:openings?|applications?|offers?|positions?|interview)|a job\b(?! well)|positions?|your ad\b|recruit\w+|hiring|apply(?:ing)? for|vacanc\w+|interview|resume|empleo|trabajo en|vacante|stelle|bewerb\w+|emploi|candidature|lavoro|emprego)\b", examples=("Are you hiring at the moment?", "I applied for a job last week", "I want to ask about an open position")),
    Purpose(label="loan_inquiry", category="finance", about="a loan", pattern=r"\b(?:loan|mortgage|credit (?:line|limit|score)|interest rate|préstamo|hipoteca|kredit|darlehen|hypothek|prêt|crédit|prestito|mutuo|empréstimo)\b", examples=("I'd like to apply for a loan", "What is the interest rate for a mortgage?")),
    Purpose(label="account_balance", category="finance", about="a balance", pattern=r"\b(?:(?:account )?balance|how much (?:do i (?:owe|have)|is left)|saldo|kontostand|guthaben|solde)\b", examples=("What is my account balance?", "How much do I still owe?")),
    Purpose(label="feedback", category="feedback", about="feedback", pattern=r"\b(?:feedback|survey|rate (?:my|your|the)|review|suggestion|compliment|opinión|sugerencia|bewertung|umfrage|rückmeldung|avis|sondage)\b", examples=("I want to give some feedback", "I would rate it nine out of ten", "I just wanted to say how happy I am with your team")),
    Purpose(label="wrong_number", category="other", about="a wrong number", pattern=r"\b(?:wrong number|misdialed|didn'?t mean to call|número equivocado|me equivoqué|falsch verbunden|verwählt|falsche nummer|faux numéro|mauvais numéro|numero sbagliato)\b", examples=("Sorry, wrong number", "I think I dialed the wrong number")),
    Purpose(label="not_interested", category="sales", about="an offer, which was declined", pattern=r"\b(?:not interested|no,? (?:thanks|thank you),? (?:i'm|we're) (?:good|fine|not)|stop calling|(?:remove|take) (?:me|my number)|do not call|no me interesa|no estoy interesad[oa]|kein interesse|nicht interessiert|pas intéressée?|non sono interessat[oa])\b", examples=("I'm not interested, please don't call again", "Take me off your list", "No thanks, we already have a provider")),
    Purpose(label="voicemail", category="other", about="nothing: a voicemail answered", pattern=r"\b(?:leave (?:a|your) (?:name|message).{0,40}(?:beep|tone)|after the (?:beep|tone)|can'?t come to the phone|not available (?:right now|to take)|reached the voicemail|mailbox|después de(?:l)? (?:tono|señal)|buzón de voz|nach dem (?:signal)?ton|mailbox|après le (?:bip|signal)|messagerie|segreteria)\b", examples=("Please leave a message after the beep", "The person you are calling is not available")),
)  # fmt: skip
_BY_LABEL = {purpose.label: purpose for purpose in PURPOSES}
_PATTERNS = {purpose.label: re.compile(purpose.pattern, re.IGNORECASE) for purpose in PURPOSES}
_SPECIFIC = frozenset(
    {
        "voicemail",
        "wrong_number",
        "reschedule_appointment",
        "cancel_appointment",
        "cancel_subscription",
        "confirm_appointment",
        "report_fraud",
        "emergency",
    }
)
"""Purposes whose words are never said by the way."""

_SMALL_TALK = re.compile(
    r"^(?:(?:hi|hello|hey|yes|yeah|yep|no|nope|okay|ok|sure|right|thanks|thank you|please|bye|goodbye|good|great|perfect|fine|hola|buenos|buenas|días|tardes|noches|guten|tag|abend|morgen|bonsoir|buongiorno|olá|bom|dia|hallo|gracias|sí|hallo|ja|nein|danke|bonjour|merci|oui|non|um|uh|morning|afternoon|evening|there|alright|that's|it|all|correct|exactly|so|much|very|a|lot|have|nice|day)[\s,.!?]*)+$",
    re.IGNORECASE,
)


class PurposeFinder:
    """Examples of each purpose, embedded when first needed."""

    def __init__(self, embed: Embed | None) -> None:
        self._embed = embed
        self._examples: tuple[tuple[str, ...], np.ndarray] | None = None

    def find(self, reading: Reading, *, end_reason: EndReason | None, mood: float = 0.5) -> Purpose | None:
        """What the user wanted; None where too little was said. `GENERAL` for what is none of the known purposes.

        `mood` is how the user sounded, from 0 to 1: who wants nothing else complains or praises.
        """
        if end_reason is EndReason.VOICEMAIL:
            return _BY_LABEL["voicemail"]
        sentences = [
            (sentence, line.place)
            for line in reading.user
            for sentence in line.sentences
            if not _SMALL_TALK.match(sentence)
        ][:MOST_SENTENCES]
        if not sentences:
            return None
        scores = dict.fromkeys(_BY_LABEL, 0.0)
        weights = [1.0 / (1 + 0.28 * place) for place in range(len(sentences))]
        for (sentence, _), weight in zip(sentences, weights, strict=True):
            for label, pattern in _PATTERNS.items():
                hits = {match.group(0).lower() for match in pattern.finditer(sentence)}
                if hits:
                    boost = 1.6 if label in _SPECIFIC else 1.0
                    scores[label] += 0.4 * boost * weight * min(len(hits), 3) ** 0.5
        nearness: dict[str, float] = {}
        if self._embed is not None and reading.language == "en":
            nearness = self._add_nearness(self._embed, scores, [sentence for sentence, _ in sentences], weights)
        if is_declined(reading) and len(sentences) <= 6:
            scores["not_interested"] += 0.5
        label = max(scores, key=lambda name: scores[name])
        if scores[label] >= _LEAST_SCORE:
            return _BY_LABEL[label]
        if sum(len(words(sentence)) for sentence, _ in sentences) < 3:
            return None
        if mood < _ANGRY:
            return _BY_LABEL["complaint"]
        nearest = max(nearness, key=lambda name: nearness[name], default=None)
        if nearest is not None and nearness[nearest] >= _LEAST_NEARNESS_ALONE:
            return _BY_LABEL[nearest]
        if mood > _GLAD and not any(sentence.endswith("?") for sentence, _ in sentences) and reading.language == "en":
            return _BY_LABEL["feedback"]
        return Purpose(label=GENERAL, category="general", about="", pattern="", examples=())

    def _add_nearness(
        self, embed: Embed, scores: dict[str, float], sentences: list[str], weights: list[float]
    ) -> dict[str, float]:
        """Add what lies near in meaning to the scores; how near each purpose came to any sentence."""
        nearest: dict[str, float] = {}
        if self._examples is None:
            pairs = [(purpose.label, example) for purpose in PURPOSES for example in purpose.examples]
            self._examples = (tuple(label for label, _ in pairs), embed(tuple(text for _, text in pairs)))
        labels, vectors = self._examples
        near = embed(tuple(sentences)) @ vectors.T
        for row, weight in zip(near, weights, strict=True):
            best: dict[str, float] = {}
            for label, value in zip(labels, row, strict=True):
                best[label] = max(best.get(label, 0.0), float(value))
            for label, value in best.items():
                nearest[label] = max(nearest.get(label, 0.0), value)
                if value > _LEAST_NEARNESS:
                    scores[label] += 1.5 * weight * (value - _LEAST_NEARNESS)
        return nearest
