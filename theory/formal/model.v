(** The objects of the book at any size: partition, attention, network, law, loss.

    Formal name            symbol of the book       where it is defined there
    T, I                   [D], [L]                 asm-data: positions, names of the sets
    part i                 S(i), by its name        asm-data (the sets may be scattered)
    block k                S_k                      asm-data
    equal C                all sets have C patches  asm-data
    score                  x |-> e^{x/tau}          def-vit; here any function
    attention score A i j  S_ij                     def-vit, eq-softmax
    seen score A x i       O_i, x_j = <v, X_j>      def-vit, eq-vit
    network score act A x  F                        def-vit, eq-vit; act is sigma, any function
    levels s g r           A with three numbers     thm-three-coefficients
    feature, value         +1, -1, 0                asm-data
    mass q y l delta       Pr(y, l, delta)          asm-data, items 1 and 2
    outcome, prob          with noise xi            asm-data, items 3 and 4; noise of finite law
    patch w xi o j         X_j                      asm-data, item 4
    population prob f      E f                      def-loss *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory.
Local Open Scope ring_scope.

Section Partition.
Variables (T I : finType) (part : T -> I).

Definition block (k : I) : {set T} := [set i | part i == k].
Definition equal (C : nat) := forall k, #|block k| = C.

Definition levels (K : Type) (s g r : K) (i j : T) :=
  if i == j then s else if part i == part j then g else r.

Lemma in_block k i : (i \in block k) = (part i == k).
Proof. by rewrite inE. Qed.

Lemma card_patches C : equal C -> #|T| = (#|I| * C)%N.
Proof.
move=> eqC; rewrite -sum1_card (partition_big part predT) //=.
rewrite -sum_nat_const; apply: eq_bigr => k _.
by rewrite -(eqC k) -sum1_card; apply: eq_bigl => i; rewrite in_block.
Qed.

Lemma block_has C k : equal C -> (0 < C)%N -> exists i, part i = k.
Proof.
move=> eqC; rewrite -(eqC k) => /card_gt0P[i].
by rewrite in_block => /eqP; exists i.
Qed.
End Partition.

Section Network.
Variables (R : fieldType) (T : finType) (score act : R -> R).
Implicit Types (A : T -> T -> R) (x : T -> R).

Definition attention A i j := score (A i j) / \sum_k score (A i k).
Definition seen A x i := #|T|%:R * \sum_j attention A i j * x j.
Definition network A x := \sum_i act (seen A x i).

Lemma eq_attention A B : A =2 B -> attention A =2 attention B.
Proof. by move=> eqA i j; rewrite /attention eqA; under eq_bigr do rewrite eqA. Qed.

Lemma eq_seen A B x z : A =2 B -> x =1 z -> seen A x =1 seen B z.
Proof.
move=> eqA eqx i; congr (_ * _); apply: eq_bigr => j _.
by rewrite (eq_attention eqA) eqx.
Qed.

Lemma eq_network A B x z : A =2 B -> x =1 z -> network A x = network B z.
Proof. by move=> eqA eqx; apply: eq_bigr => i _; rewrite (eq_seen eqA eqx). Qed.
End Network.

(** A feature is 0 (None), +1 (Some true) or -1 (Some false). *)
Definition feature := option bool.
Definition value (f : feature) : int := if f is Some y then (if y then 1 else -1) else 0.

Lemma valueE (R : ringType) f :
  (value f)%:~R = (if f is Some y then (if y then 1 else -1) else 0) :> R.
Proof. by case: f => [[]|]; rewrite //= mulrN1z. Qed.

Section Law.
Variables (R : fieldType) (T I : finType) (part : T -> I) (q : R).

Definition spurious (f : feature) : R := if f is None then 1 - q else q / 2%:R.

Definition mass (y : bool) (l : I) (delta : {ffun T -> feature}) : R :=
  2%:R^-1 * #|I|%:R^-1 *
  \prod_j (if part j == l then (delta j == Some y)%:R else spurious (delta j)).

Variables (N : finType) (mu : N -> R).

Definition outcome := (bool * I * {ffun T -> feature} * {ffun T -> N})%type.
Definition label (o : outcome) : bool := o.1.1.1.
Definition signal (o : outcome) : I := o.1.1.2.
Definition delta (o : outcome) : {ffun T -> feature} := o.1.2.
Definition noise (o : outcome) : {ffun T -> N} := o.2.
Definition prob (o : outcome) : R :=
  mass (label o) (signal o) (delta o) * \prod_j mu (noise o j).

Variables (P : finType) (w : P -> R) (xi : N -> P -> R).

Definition patch (o : outcome) (j : T) (k : P) : R :=
  (value (delta o j))%:~R * w k + xi (noise o j) k.
End Law.

Definition dot (R : fieldType) (P : finType) (v x : P -> R) := \sum_k v k * x k.

Definition population (R : fieldType) (W : finType) (prob f : W -> R) := \sum_o prob o * f o.

