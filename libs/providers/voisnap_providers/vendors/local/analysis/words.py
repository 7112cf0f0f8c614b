"""Word lists: the commonest words of six languages, and words that praise or blame with how much (-3 to 3)."""

STOP_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(text.split())
    for language, text in {
        "en": (
            "a about above after again all also am an and any are as at be because been before being both but by can can't could "
            "did do does doesn't doing don't down each even ever few for from get gets getting go goes going gonna got had has have having he "
            "her here hers him his how i i'd i'll i'm i've if in into is isn't it it's its just know let let's like me might more most much "
            "must my need no not now of off on one only or other our out over own please really right same say she should so some "
            "still such than that that's the their them then there there's these they thing things this those through to too under "
            "until up us very want was wasn't way we we'll we're well were what what's when where which while who why will with "
            "won't would yes yeah yet you you'll you're your yours okay ok"
        ),
        "es": (
            "a al algo como con cuando de del desde donde el ella en entre era es esa ese eso esta está estaba este esto estoy fue ha hace "
            "hay hasta he la las le les lo los más me mi mis muy nada ni no nos o para pero por porque puede puedo qué que quién "
            "quiero se sea ser si sí sin sobre son su sus también te tengo tiene todo tu un una uno usted ya yo hola gracias buenos "
            "buenas días quisiera necesito ustedes favor"
        ),
        "de": (
            "aber alle als also am an auch auf aus bei bin bis bitte da das dass dem den der des die dir doch ein eine einem einen "
            "einer er es für guten haben habe hat ich ihm ihr ihre ihnen im in ist ja jetzt kann können mein meine mich mir mit nach nein nicht "
            "noch nur oder schon sehr sein seine sich sie sind so über um und uns vom von vor war was wenn wer wie wir wird zu zum "
            "zur danke hallo möchte tag würde gerne"
        ),
        "fr": (
            "à au aussi aux avec avez bien bonjour c'est ce cela ces cette comme dans de depuis des du elle en est et été être il ils j'ai "
            "je jour la le les leur lui ma mais me merci mes moi mon n'ai ne nous on ou où par pas peux plaît plus pour pouvez "
            "pouvons qu'est que qui sa sans se ses si son sont suis sur ta tout très tu un une votre vos vous y voudrais oui non d'accord"
        ),
        "it": (
            "a ai al alla anche avere buongiorno c'è che chi ci come con cosa da dal del della di dove e è era essere gli grazie ha ho i il in io la le lo "
            "loro ma mi mia mio molto ne nel nella no non o ogni per perché più posso può prego quando questa questo sì se senza si "
            "sono su sua suo tutto un una uno vi vorrei"
        ),
        "pt": (
            "a ao as até com como da das de dela do dos e ela ele em era essa esse esta está estou este eu foi há isso já lhe mais "
            "mas me meu minha muito na não nas nem no nos o obrigado obrigada olá os ou para pela pelo por porque posso pode qual quando que quem quero "
            "se sem ser seu sim só sua também tem tenho um uma você bom dia"
        ),
    }.items()
}

_EN = {
    3: "excellent amazing fantastic outstanding brilliant superb love loved lifesaver thrilled delighted awesome exceptional",
    2.4: "great wonderful perfect perfectly impressed lovely happy pleased terrific glad best super beautifully",
    1.8: "good helpful satisfied appreciate appreciated enjoy enjoyed easy smooth friendly kind quick quickly relief relieved excited recommend thankful grateful reasonable",
    0.7: "thanks thank thx fine",
    1.1: "cool nice solved resolved fixed works working comfortable interested interesting welcome better clear sorted",
    -3: "terrible horrible awful disgusting disgusted furious outrageous ridiculous unacceptable pathetic worst hate scam fraud useless appalling nightmare atrocious shameful disgrace disgraceful liar liars",
    -2.4: "angry frustrated frustrating upset disappointed disappointing disappointment annoyed annoying rude poor unhappy unprofessional incompetent livid lied mistreated joke absurd robbed",
    -1.7: "bad broken wrong fail failed fails failing failure crash crashed crashes crashing complaint complain complaining problem problems issue worse mess messed unfair confused confusing damaged defective faulty stuck worried concerned overcharged impossible unreliable stressed pain painful lost mistake missing leaking",
    -1.0: "issues delay delayed late slow error errors cancel refund unfortunately difficult trouble hard wait waiting expensive sorry never sick afraid unable dead stolen hurt hurts tired",
}
_ES = {
    2.5: "excelente perfecto perfecta genial maravilloso maravillosa fantástico fantástica encanta encantada encantado estupendo estupenda increíble",
    1.7: "bueno buena bien contento contenta feliz satisfecho satisfecha amable agradezco útil rápido fácil solucionado resuelto",
    0.9: "gracias vale interesa interesado interesada",
    -2.7: "terrible horrible pésimo pésima inaceptable vergüenza estafa harto harta furioso furiosa inútil ridículo asco fatal indignado indignada",
    -1.8: "mal malo mala enfadado enfadada molesto molesta decepcionado decepcionada decepcionante problema problemas queja reclamación roto rota error peor equivocado defectuoso dañado frustrado frustrada",
    -1.0: "tarde lento retraso cancelar reembolso perdido espero esperando difícil caro nunca nadie",
}
_DE = {
    2.5: "ausgezeichnet perfekt wunderbar fantastisch hervorragend großartig super toll spitze begeistert klasse prima",
    1.7: "gut gute guter schön zufrieden freundlich hilfreich freut freue schnell einfach gelöst erledigt nett glücklich",
    0.9: "danke dankeschön passt gerne interessiert",
    -2.7: "schrecklich furchtbar unverschämt unverschämtheit katastrophe inakzeptabel betrug wütend unmöglich lächerlich frechheit miserabel nutzlos skandal",
    -1.8: "schlecht schlechte schlechter ärgerlich ärgere enttäuscht enttäuschend sauer verärgert problem probleme beschwerde beschweren kaputt falsch falsche defekt fehler beschädigt frustriert genervt",
    -1.0: "spät verspätet verspätung langsam warte warten kündigen kündigung stornieren teuer leider niemand nie verloren",
}
_FR = {
    2.5: "excellent parfait parfaite génial géniale formidable merveilleux magnifique super ravie ravi fantastique",
    1.7: "bien bon bonne content contente satisfait satisfaite aimable gentil gentille utile rapide facile résolu heureux heureuse",
    0.9: "merci d'accord intéressé intéressée",
    -2.7: "terrible horrible inadmissible inacceptable scandaleux honte arnaque furieux furieuse nul nulle ridicule catastrophe catastrophique",
    -1.8: "mauvais mauvaise mal déçu déçue fâché fâchée problème problèmes réclamation plainte cassé cassée erreur pire défectueux frustré énervé mécontent mécontente",
    -1.0: "retard lent attends attendre annuler remboursement résilier cher malheureusement jamais personne perdu",
}
_IT = {
    2.5: "eccellente perfetto perfetta fantastico fantastica ottimo ottima meraviglioso splendido bravissimi",
    1.7: "bene buono buona contento contenta soddisfatto soddisfatta gentile utile veloce facile risolto felice",
    0.9: "grazie interessato interessata",
    -2.7: "terribile orribile pessimo pessima inaccettabile vergogna truffa furioso furiosa inutile ridicolo disastro",
    -1.8: "male brutto cattivo deluso delusa arrabbiato arrabbiata problema problemi reclamo rotto rotta errore peggio difettoso sbagliato",
    -1.0: "ritardo lento aspetto aspettando annullare rimborso disdire caro purtroppo mai nessuno perso",
}
_PT = {
    2.5: "excelente perfeito perfeita ótimo ótima maravilhoso maravilhosa fantástico adorei incrível",
    1.7: "bom boa bem contente feliz satisfeito satisfeita gentil útil rápido fácil resolvido",
    0.9: "obrigado obrigada interessado interessada",
    -2.7: "terrível horrível péssimo péssima inaceitável vergonha golpe furioso furiosa inútil ridículo absurdo",
    -1.8: "mal mau ruim chateado chateada decepcionado decepcionada problema problemas reclamação quebrado quebrada erro pior defeituoso errado",
    -1.0: "atraso lento esperando cancelar reembolso caro infelizmente nunca ninguém perdido",
}


def _valences(groups: dict[float, str]) -> dict[str, float]:
    return {word: value for value, text in groups.items() for word in text.split()}


VALENCES: dict[str, dict[str, float]] = {
    "en": _valences(_EN), "es": _valences(_ES), "de": _valences(_DE), "fr": _valences(_FR), "it": _valences(_IT), "pt": _valences(_PT),
}  # fmt: skip
"""Language → word → how good (above 0) or bad (below 0) it sounds."""

NEGATIONS = frozenset(
    [
        "not",
        "no",
        "never",
        "nothing",
        "nobody",
        "none",
        "neither",
        "nor",
        "hardly",
        "barely",
        "without",
        "cannot",
        "can't",
        "couldn't",
        "don't",
        "doesn't",
        "didn't",
        "isn't",
        "wasn't",
        "aren't",
        "weren't",
        "won't",
        "wouldn't",
        "haven't",
        "hasn't",
        "ain't",
        "nunca",
        "nadie",
        "ningún",
        "ninguna",
        "tampoco",
        "sin",
        "ni",
        "nicht",
        "kein",
        "keine",
        "keinen",
        "keiner",
        "nie",
        "niemals",
        "ohne",
        "ne",
        "n'est",
        "n'ai",
        "pas",
        "jamais",
        "sans",
        "aucun",
        "non",
        "mai",
        "senza",
        "nessun",
        "não",
        "nem",
        "sem",
    ]
)
INTENSIFIERS = frozenset(
    [
        "very",
        "really",
        "so",
        "extremely",
        "absolutely",
        "totally",
        "completely",
        "incredibly",
        "super",
        "truly",
        "highly",
        "deeply",
        "utterly",
        "beyond",
        "such",
        "muy",
        "tan",
        "realmente",
        "sehr",
        "wirklich",
        "total",
        "absolut",
        "extrem",
        "très",
        "vraiment",
        "tellement",
        "molto",
        "davvero",
        "veramente",
        "muito",
        "realmente",
        "demais",
    ]
)
DIMINISHERS = frozenset(
    [
        "slightly",
        "somewhat",
        "bit",
        "little",
        "kinda",
        "fairly",
        "rather",
        "algo",
        "poco",
        "etwas",
        "bisschen",
        "peu",
        "poco",
        "pouco",
    ]
)
